#!/usr/bin/env bash
# Tries a site out: `deploy/smoke.sh https://permits.example [edge]`. With `edge`, answers must have come through it.
# Each request is tried for a minute, because a deployment takes that long to be everywhere.
set -euo pipefail

site=${1:?usage: deploy/smoke.sh URL [edge]}
through=${2:-origin}
within_seconds=${SMOKE_SECONDS:-60}
head=$(mktemp)
body=$(mktemp)
trap 'rm -f "$head" "$body"' EXIT

# ask PATH STATUS TEXT: the answer has that status, and that text in its body.
ask() {
  local deadline=$((SECONDS + within_seconds)) found=none
  while :; do
    found=$(curl --silent --show-error --max-time 10 --dump-header "$head" --output "$body" \
      --write-out '%{http_code}' "$site$1" || true)
    if [ "$found" = "$2" ] && grep --quiet --fixed-strings "$3" "$body"; then
      echo "ok    $1"
      return
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "error: $site$1 answers $found, expected $2 with \"$3\"" >&2
      exit 1
    fi
    sleep 2
  done
}

ask /health/ready 200 '"ready"'
ask / 200 '</html>'
ask '/search?q=market' 200 '</html>'
ask '/api/v1/search?q=market' 200 '{'
ask /no-such-page 404 '</html>'

if [ "$through" = edge ]; then
  ask / 200 '</html>'
  if ! grep --quiet --ignore-case '^cache-status:.*Seawall' "$head"; then
    echo "error: $site/ was not answered through the edge: it has no Cache-Status of Seawall" >&2
    exit 1
  fi
  echo "ok    answers come through the edge"
fi
