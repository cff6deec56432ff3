#!/usr/bin/env bash
# Deploys the built Worker to Cloudflare and tries it out; goes back to the version before when that fails.
# Needs CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID, and SITE, where visitors reach it. WRANGLER_ENV: production, staging.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${SITE:?SITE is not set: where visitors reach the site, such as https://permits.example}"
environment=${WRANGLER_ENV:-production}
wrangler() { node_modules/.bin/wrangler "$@" --env "$environment"; }

# The version that serves all requests now; none before the first deployment.
before=$(wrangler deployments status --json 2>/dev/null | node -e '
  const text = require("node:fs").readFileSync(0, "utf8");
  const deployment = text.trim() ? JSON.parse(text) : {};
  console.log(deployment.versions?.find((version) => version.percentage === 100)?.version_id ?? "");
' || true)
echo "now serving: ${before:-nothing}"

wrangler deploy --message "$(git describe --always --tags)"

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
