// Runs the public cache tests through a cache, and writes what came of each into a file.
//
//   suite.mjs BASE OUT [KNOWN]
//
// BASE is the cache's address. KNOWN is an earlier result in the repository's form: a test that passed there and does not
// now runs again with the others of its kind, and then one after the other: its times are real seconds, this machine may
// have been busy, and a crowd of tests makes hosts start instances that have yet to see what another one is storing.

import { readFileSync, writeFileSync } from "node:fs";
import fetch from "node-fetch";
import { getResults, runTests } from "http-cache-tests/client/runner.mjs";
import { makeCacheTest, testResults } from "http-cache-tests/client/test.mjs";
import { determineTestResult } from "http-cache-tests/lib/display.mjs";
import suites from "http-cache-tests/tests/index.mjs";
import surrogate from "http-cache-tests/tests/surrogate-control.mjs";

// Tests at a time. Most of them wait for a stored response to get older.
const AT_ONCE = 60;
const ATTEMPTS = 3;

const [base, out, known] = process.argv.slice(2);
const before = known ? JSON.parse(readFileSync(known, "utf8")).tests : {};

// The command line of the package adds the last one too.
const all = [...suites, surrogate];
const tests = all.flatMap((suite) =>
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

// The package's own judgement: a test says nothing when one that it depends on did not pass.
const word = (id) => WORDS[determineTestResult(all, id, getResults())[2]];

await runTests(all, fetch, false, base, AT_ONCE);
for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
  const again = tests.filter(({ test }) => before[test.id]?.result === "pass" && testResults[test.id] !== true);
  for (const { test } of again) delete testResults[test.id];
  const isLast = attempt + 1 === ATTEMPTS;
  if (isLast) for (const { test } of again) await makeCacheTest(test);
  else await Promise.all(again.map(({ test }) => makeCacheTest(test)));
}

const result = {};
for (const { suite, test } of tests.sort((a, b) => (a.test.id < b.test.id ? -1 : 1))) {
  const said = testResults[test.id];
  result[test.id] = {
    suite,
    kind: test.kind ?? "required",
    result: word(test.id),
    ...(said === true || said === undefined ? {} : { said: said[1] }),
  };
}
writeFileSync(out, JSON.stringify(result));
process.exit(0);
