// Serves one Worker in workerd until it is stopped. The argument is JSON:
//   script   its entry module
//   modules  further modules
//   port     where it listens; 0 chooses
//   origin   what its variable ORIGIN says
//   limiter  whether it has the Durable Object of the shared limits
//   direct   whether clients reach it past the Worker of Miniflare's own that stands for Cloudflare's front: that one
//            names the client's address, and costs more than most Workers

import { dirname } from "node:path";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { compatibilityDate, durableObjects } from "./wrangler.mjs";

const { script, modules, port, origin, limiter, direct } = JSON.parse(process.argv[2]);
const host = "127.0.0.1";

const workerd = new Miniflare(
  convertV4MiniflareOptions({
    host,
    port: direct ? 0 : port,
    cf: false,
    log: new Log(LogLevel.WARN),
    workers: [
      {
        name: "worker",
        modulesRoot: dirname(script),
        compatibilityDate,
        modules: [script, ...modules].map((path) => ({
          type: path.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
          path,
        })),
        bindings: { ORIGIN: origin },
        durableObjects: limiter ? durableObjects : {},
        unsafeDirectSockets: direct ? [{ host, port }] : [],
      },
    ],
  }),
);

process.once("SIGTERM", async () => {
  await workerd.dispose();
  process.exit(0);
});

const front = await workerd.ready;
const { port: listening } = direct ? await workerd.unsafeGetDirectURL("worker") : front;
console.log(`worker listening on ${listening}`);
