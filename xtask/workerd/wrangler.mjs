// What wrangler.toml says about the edge, as Miniflare takes it, so that what is tested is what is deployed. It knows what
// stands above the environments, where the local Worker is described, and of bindings only those that have to be there.

import { readFileSync } from "node:fs";
import { parse } from "smol-toml";

const file = parse(readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8"));

export const compatibilityDate = file.compatibility_date;

const inSqlite = new Set(file.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []));

export const durableObjects = Object.fromEntries(
  file.durable_objects.bindings.map(({ name, class_name }) => [
    name,
    { className: class_name, useSQLite: inSqlite.has(class_name) },
  ]),
);
