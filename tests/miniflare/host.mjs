// Runs the built Worker in workerd, before the origin at the first argument, with the further variables of the
// second (JSON). Prints where it listens, and runs until it is stopped. The third argument, if there is one, is a folder
// that keeps what is stored.

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { durableObjects } from "../../xtask/workerd/wrangler.mjs";
import { endOnSignal, start } from "./workerd.mjs";

const [origin, variables, storage] = process.argv.slice(2);
// What a test wants of the host itself: another isolate of the same build, which shares its objects, and Workers KV.
const { TEST_ELSEWHERE, TEST_KV, ...bindings } = JSON.parse(variables);
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

const isolate = (name, durableObjects) => ({
  name,
  modulesRoot: root,
  modules: [
    { type: "ESModule", path: `${root}/tests/miniflare/entry.mjs` },
    { type: "ESModule", path: `${root}/edge/worker/build/index.js` },
    { type: "CompiledWasm", path: `${root}/edge/worker/build/index_bg.wasm` },
  ],
  bindings: { ORIGIN: origin, ...bindings },
  kvNamespaces: TEST_KV ? ["CACHE"] : [],
  durableObjects,
  unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
});

// The same objects, which live in the first isolate.
const shared = () =>
  Object.fromEntries(Object.entries(durableObjects).map(([name, object]) => [name, { ...object, scriptName: "edge" }]));

const workerd = start([isolate("edge", durableObjects), ...(TEST_ELSEWHERE ? [isolate("elsewhere", shared())] : [])], {
  // Answers /cdn-cgi/local/scheduled by making a timer go off.
  unsafeTriggerHandlers: true,
  resourcePersistencePath: storage,
});
endOnSignal(workerd);

const url = await workerd.ready;
const names = TEST_ELSEWHERE ? ["edge", "elsewhere"] : ["edge"];
const direct = await Promise.all(names.map((name) => workerd.unsafeGetDirectURL(name)));
console.log(`edge listening on ${[url, ...direct].map(({ port }) => port).join(" and ")}`);
