// Runs the public cache tests through a cache, and writes what came of each into a file.
//
//   suite.mjs BASE OUT [--known FILE] [--suite DIR]
//
// BASE is the cache's address. DIR is a checkout of the suite; without it the tests of the npm package run. FILE is an
// earlier result in the repository's form: a test that passed there and does not now runs again with the others of its kind,
// and then one after the other: its times are real seconds, and this machine may have been busy. A host for Spin may also
// hand the second request of a test to another instance than the first, which does not see yet what that one is storing
// (docs/operating/spin.md): the last attempts wait before each request.

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { edition } from "./edition.mjs";

// Tests at a time. Most of them wait for a stored response to get older.
const AT_ONCE = 60;
// Milliseconds before each request of the attempts that run one test after the other; less than any freshness lasts.
const PAUSES = [0, 100, 400, 800];

const options = { known: { type: "string" }, suite: { type: "string" } };
const { values: given, positionals } = parseArgs({ allowPositionals: true, options });
const [base, out] = positionals;
const before = given.known ? JSON.parse(readFileSync(given.known, "utf8")).tests : {};

const { suites, results, aim, attempt, judge } = await edition(given.suite);
const tests = suites.flatMap((suite) =>
  suite.tests.filter((test) => !test.browser_only).map((test) => ({ suite: suite.id, test })),
);

const WORDS = {
  "✅": "pass",
  "⛔️": "fail",
  "⚠️": "fail",
  Y: "yes",
  N: "no",
  "🔹": "setup",
  "⁉️": "harness",
  "⚪️": "dependency",
  "↻": "retry",
  "-": "untested",
};

const lost = () => tests.filter(({ test }) => before[test.id]?.result === "pass" && results[test.id] !== true);

aim(base);
for (let first = 0; first < tests.length; first += AT_ONCE) {
  await Promise.all(tests.slice(first, first + AT_ONCE).map(({ test }) => attempt(test)));
}
await Promise.all(lost().map(({ test }) => attempt(test)));
for (const pause of PAUSES) {
  aim(base, pause);
  for (const { test } of lost()) await attempt(test);
}

const result = {};
for (const { suite, test } of tests.sort((a, b) => (a.test.id < b.test.id ? -1 : 1))) {
  const said = results[test.id];
  result[test.id] = {
    suite,
    kind: test.kind ?? "required",
    result: WORDS[judge(test.id)],
    ...(said === true || said === undefined ? {} : { said: said[1] }),
  };
}
writeFileSync(out, JSON.stringify(result));
process.exit(0);
