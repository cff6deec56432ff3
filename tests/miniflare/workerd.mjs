// Workerd as tests start it: on a port of its choice, with what is deployed in it.

import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { compatibilityDate } from "../../xtask/workerd/wrangler.mjs";

// Starts these workers, with further options of Miniflare's.
export const start = (workers, options = {}) =>
  new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.WARN),
      workers: workers.map((worker) => ({ compatibilityDate, ...worker })),
      ...options,
    }),
  );

// The worker that is built in a folder.
export const builtIn = (folder) => ({
  modulesRoot: folder,
  modules: [
    { type: "ESModule", path: `${folder}/index.js` },
    { type: "CompiledWasm", path: `${folder}/index_bg.wasm` },
  ],
});

// Ends with the process.
export const endOnSignal = (workerd) =>
  process.once("SIGTERM", async () => {
    await workerd.dispose();
    process.exit(0);
  });
