#!/usr/bin/env bash
# Walks a new operator's path and times it: fresh clone, running local stack, production build, image.
# `deploy/newcomer.sh [PORT]` in a checkout; needs what README.md asks for. The clone and all that is built for it go away again;
# what cargo, npm and pip keep in their caches of this user is used, and said.
set -euo pipefail

port=${1:-8787}
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
log=$folder/up.log
up=
trap '[ -z "$up" ] || kill -TERM "$up" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

say() { printf '%-58s %s\n' "$1" "$2"; }
timed() {
  local name=$1 began=$SECONDS
  shift
  "$@"
  say "$name" "$((SECONDS - began)) s"
}

crates=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name '*.crate' 2>/dev/null | wc -l)
say "processors, load" "$(nproc), $(cut -d' ' -f1-3 /proc/loadavg)"
say "crates that are downloaded already" "$crates"
# Nothing that another checkout has built counts.
unset CARGO_TARGET_DIR

timed "fresh clone" git clone --quiet "$here" "$folder/seawall"
cd "$folder/seawall"

serve() {
  cargo xtask up --port "$port" >"$log" 2>&1 &
  up=$!
  until grep -q 'Seawall is up' "$log"; do
    kill -0 "$up" 2>/dev/null || { tail -n 40 "$log" >&2; exit 1; }
    sleep 1
  done
}
timed "cargo xtask up: tools, database, sample city, origin, edge" serve
smoke() { deploy/smoke.sh "http://127.0.0.1:$port" edge >>"$log"; }
timed "deploy/smoke.sh: what a visitor sees" smoke
kill -TERM "$up"
wait "$up" || true
up=

timed "cargo xtask build: the Worker and the origin for production" cargo xtask build
if docker info >/dev/null 2>&1; then
  timed "docker build: the image" docker build --quiet --tag seawall-origin:newcomer .
else
  say "docker build: the image" "not made: no Docker engine here"
fi
