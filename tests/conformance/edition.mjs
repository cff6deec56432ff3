// The public cache tests in one of two editions, with one face: the npm package, or a checkout of the suite's repository,
// which has other files and another client.

import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const PACKAGE = "http-cache-tests";

// The edition in a folder, or that of the package where there is none. `suites` are its tests; `attempt` runs one of them
// through the cache at `base`, waiting so many milliseconds before each request, and ends when the engine has its result;
// `results` has what the engine says of each test by id; `judge` gives the engine's sign for it, with its dependencies.
export async function edition(folder) {
  const load = folder
    ? (path) => import(pathToFileURL(join(resolve(folder), path)).href)
    : (path) => import(`${PACKAGE}/${path}`);
  const engine = folder ? (path) => load(`test-engine/${path}`) : load;
  const [config, client, judgement, { default: suites }] = await Promise.all([
    engine("client/config.mjs"),
    engine("client/test.mjs"),
    engine(folder ? "lib/results.mjs" : "lib/display.mjs"),
    load("tests/index.mjs"),
  ]);
  const make = client.makeTest ?? client.makeCacheTest;
  // The package's own command adds this group too.
  const all = folder ? suites : [...suites, (await load("tests/surrogate-control.mjs")).default];
  const fetch = folder ? globalThis.fetch : (await import("node-fetch")).default;
  const setFetch = folder ? (call) => (globalThis.fetch = call) : config.setFetch;
  return {
    suites: all,
    results: client.testResults,
    aim(base, pause = 0) {
      config.setBaseUrl(base);
      config.setUseBrowserCache(false);
      setFetch((...request) => wait(pause).then(() => fetch(...request)));
    },
    // The engine writes into what it is given.
    attempt(test) {
      delete client.testResults[test.id];
      return make(structuredClone(test));
    },
    judge: (id) => judgement.determineTestResult(all, id, client.testResults)[2],
  };
}

// What answers at the edition's origin, by the first part of the path.
export async function handlers(folder) {
  const of = async (name) => {
    const path = `server/handle-${name}.mjs`;
    const url = folder ? pathToFileURL(join(resolve(folder), "test-engine", path)).href : `${PACKAGE}/${path}`;
    return [name, (await import(url)).default];
  };
  return Object.fromEntries(await Promise.all(["config", "state", "test"].map(of)));
}
