#!/usr/bin/env bash
# Deploys the origin to Railway and tries it out; goes back to the deployment before when that fails. Railway itself keeps
# the old one when the new one does not get ready (railway.toml), so this is for what ready does not cover.
# Needs RAILWAY_TOKEN (a project's token), RAILWAY_SERVICE (its id), and SITE, where the origin itself is reached.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${RAILWAY_TOKEN:?RAILWAY_TOKEN is not set: a token of the project}"
: "${RAILWAY_SERVICE:?RAILWAY_SERVICE is not set: the id of its service}"
: "${SITE:?SITE is not set: where the origin is reached, such as https://origin.example}"
railway_cli=@railway/cli@5.63.1
api=https://backboard.railway.com/graphql/v2

# query TEXT VARIABLES: what the API answers; an error of it ends the script.
query() {
  local request
  request=$(node -e '
    const [query, variables] = process.argv.slice(1);
    console.log(JSON.stringify({ query, variables: JSON.parse(variables) }));
  ' "$1" "$2")
  curl --silent --show-error --fail --max-time 30 "$api" --data "$request" \
    --header "Project-Access-Token: $RAILWAY_TOKEN" --header "Content-Type: application/json" |
    node -e '
      const { data, errors } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
      if (errors) throw new Error(errors.map((error) => error.message).join("; "));
      console.log(JSON.stringify(data));
    '
}

# The deployment that serves now.
project=$(query "query { projectToken { projectId environmentId } }" "{}")
input=$(node -e '
  const { projectToken } = JSON.parse(process.argv[1]);
  console.log(JSON.stringify({ input: { ...projectToken, serviceId: process.argv[2], status: { in: ["SUCCESS"] } } }));
' "$project" "$RAILWAY_SERVICE")
# shellcheck disable=SC2016 # The dollar is GraphQL's.
deployments=$(query 'query ($input: DeploymentListInput!) { deployments(first: 1, input: $input) { edges { node { id } } } }' "$input")
before=$(node -e 'console.log(JSON.parse(process.argv[1]).deployments.edges[0]?.node.id ?? "")' "$deployments")
echo "now serving: ${before:-nothing}"

npx --yes "$railway_cli" up --ci --service "$RAILWAY_SERVICE"

if deploy/smoke.sh "$SITE"; then
  exit 0
fi
if [ -z "$before" ]; then
  echo "error: the first deployment failed, and there is nothing to go back to" >&2
  exit 1
fi
echo "error: going back to deployment $before" >&2
# shellcheck disable=SC2016 # As above.
query 'mutation ($id: String!) { deploymentRollback(id: $id) }' "{\"id\": \"$before\"}"
deploy/smoke.sh "$SITE"
echo "error: the new deployment failed; $before serves again" >&2
exit 1
