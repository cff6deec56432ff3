// Runs the public cache tests through a cache, and writes what came of each into a file.
//
//   suite.mjs BASE OUT [KNOWN]
//
// BASE is the cache's address. KNOWN is an earlier result in the repository's form: a test that passed there and does not
// now runs again with the others of its kind, and then one after the other: its times are real seconds, and this machine may
// have been busy. A host for Spin may also hand the second request of a test to another instance than the first, which
// does not see yet what that one is storing (docs/operating/spin.md): the last attempts wait before each request.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import fetch from "node-fetch";
import { setFetch } from "http-cache-tests/client/config.mjs";
import { getResults, runTests } from "http-cache-tests/client/runner.mjs";
import { makeCacheTest, testResults } from "http-cache-tests/client/test.mjs";
import { determineTestResult } from "http-cache-tests/lib/display.mjs";
import suites from "http-cache-tests/tests/index.mjs";
import surrogate from "http-cache-tests/tests/surrogate-control.mjs";

// Tests at a time. Most of them wait for a stored response to get older.
const AT_ONCE = 60;
// Milliseconds before each request of the attempts that run one test after the other; less than any freshness lasts.
const PAUSES = [0, 100, 400, 800];

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
const lost = () => tests.filter(({ test }) => before[test.id]?.result === "pass" && testResults[test.id] !== true);
const again = ({ test }) => {
  delete testResults[test.id];
  return makeCacheTest(test);
};
await Promise.all(lost().map(again));
for (const pause of PAUSES) {
  setFetch((...request) => wait(pause).then(() => fetch(...request)));
  for (const test of lost()) await again(test);
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
