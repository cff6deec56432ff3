// Runs many isolates of a built Worker in workerd, with the Durable Objects of the first for all of them, until it is
// stopped. Prints where each listens, past any front. The argument is JSON:
//   origin      what their variable ORIGIN says
//   build       the folder of the built Worker
//   isolates    how many
//   bindings    further variables
//   ratelimits  rate-limiting bindings, by name

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { endOnSignal, start } from "./workerd.mjs";

const { origin, build, isolates, bindings, ratelimits } = JSON.parse(process.argv[2]);
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

// The entry module imports the Worker from where the site's own is built.
const built = (type, file) => ({
  type,
  path: `${root}/edge/worker/build/${file}`,
  contents: readFileSync(`${build}/${file}`),
});
const name = (number) => (number === 0 ? "edge" : `edge-${number}`);
const worker = (number) => ({
  name: name(number),
  modulesRoot: root,
  modules: [
    {
      type: "ESModule",
      path: `${root}/tests/miniflare/entry.mjs`,
      contents: readFileSync(`${root}/tests/miniflare/entry.mjs`),
    },
    built("ESModule", "index.js"),
    built("CompiledWasm", "index_bg.wasm"),
  ],
  bindings: { ORIGIN: origin, ...bindings },
  ratelimits,
  durableObjects: {
    LIMITER: { className: "Limiter", useSQLite: true, ...(number > 0 && { scriptName: name(0) }) },
    COLLAPSE: { className: "Collapser", useSQLite: true, ...(number > 0 && { scriptName: name(0) }) },
  },
  unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
});

const workerd = start(Array.from({ length: isolates }, (_, number) => worker(number)));
endOnSignal(workerd);

await workerd.ready;
const ports = [];
for (let number = 0; number < isolates; number++) {
  ports.push((await workerd.unsafeGetDirectURL(name(number))).port);
}
console.log(`fleet listening on ${ports.join(" ")}`);
