#!/usr/bin/env bash
# Restores a backup into an empty database: `deploy/restore.sh FILE`. All of it, or nothing.
# Needs DATABASE_URL of the new database, and pg_restore. Point the site to it when this has ended well.
set -euo pipefail

file=${1:?usage: deploy/restore.sh FILE}
: "${DATABASE_URL:?DATABASE_URL is not set}"

tables=$(psql "$DATABASE_URL" --no-psqlrc --tuples-only --no-align \
  --command="SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
if [ "$tables" != 0 ]; then
  echo "error: the database has $tables tables; a backup is restored into an empty one" >&2
  exit 1
fi

# What the server may not know, and no table of the backup needs.
list=$(mktemp)
trap 'rm -f "$list"' EXIT
pg_restore --list "$file" | grep -vE ' EXTENSION (- )?(vector|pg_stat_statements)( |$)' >"$list"
pg_restore --dbname="$DATABASE_URL" --no-owner --no-privileges --exit-on-error --single-transaction \
  --use-list="$list" "$file"
# Plans are made of statistics, which a backup does not hold.
psql "$DATABASE_URL" --no-psqlrc --quiet --command="ANALYZE"
echo "restored; run origin migrate if the origin is newer than the backup"
