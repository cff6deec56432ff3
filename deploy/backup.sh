#!/usr/bin/env bash
# Writes a backup of the origin's database, and reads it once to see that it is whole: `deploy/backup.sh FILE`.
# Needs DATABASE_URL, past a pooler, and pg_dump of the server's major version or a newer one. The site serves meanwhile; what
# is written is the database at one moment.
set -euo pipefail

file=${1:?usage: deploy/backup.sh FILE}
: "${DATABASE_URL:?DATABASE_URL is not set}"
if [ -e "$file" ]; then
  echo "error: $file exists; a backup is never written over another" >&2
  exit 1
fi

# It holds mail addresses. Half of one is of no use.
umask 077
trap 'rm -f "$file.part"' EXIT
# Whoever finds the name finds a whole backup.
# Vectors are made from permits, by an extension that the next server need not have.
pg_dump --dbname="$DATABASE_URL" --format=custom --no-owner --no-privileges --exclude-table=permit_vectors --file="$file.part"
pg_restore --list "$file.part" >/dev/null
mv "$file.part" "$file"
echo "$file: $(wc -c <"$file") bytes, sha256 $(sha256sum "$file" | cut -d' ' -f1)"
