#!/usr/bin/env bash
# Deploys the built Worker to Cloudflare and tries it out; goes back to the version before when that fails.
# Needs CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID, and SITE, where visitors reach it. WRANGLER_ENV: production, staging.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${SITE:?SITE is not set: where visitors reach the site, such as https://permits.example}"
environment=${WRANGLER_ENV:-production}
wrangler() { node_modules/.bin/wrangler "$@" --env "$environment"; }

# The version that serves all requests now. FIRST=yes says that there is none; otherwise not to know it ends the script,
# because then there would be no way back.
before=
if [ "${FIRST:-no}" != yes ]; then
  before=$(wrangler deployments status --json | node -e '
    const deployment = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    console.log(deployment.versions.find((version) => version.percentage === 100).version_id);
  ')
fi
echo "now serving: ${before:-nothing}"

wrangler deploy --message "$(git describe --always --tags)"

# A deployment is everywhere after some seconds; until then the version before may answer, and answer well.
sleep "${SETTLE_SECONDS:-30}"
if deploy/smoke.sh "$SITE" edge; then
  exit 0
fi
if [ -z "$before" ]; then
  echo "error: the first deployment failed, and there is nothing to go back to" >&2
  exit 1
fi
echo "error: going back to version $before" >&2
wrangler rollback "$before" --yes --message "the smoke test failed"
deploy/smoke.sh "$SITE" edge
echo "error: the new version failed; version $before serves again" >&2
exit 1
