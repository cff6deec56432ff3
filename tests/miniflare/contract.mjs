// Runs the contract of the stores in workerd, against the Cache API and Workers KV. The argument is the folder of a Worker
// built for it. Prints what went wrong, if anything did.

import { resolve } from "node:path";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { compatibilityDate } from "../../xtask/workerd/wrangler.mjs";

const folder = resolve(process.argv[2]);

const workerd = new Miniflare(
  convertV4MiniflareOptions({
    cf: false,
    log: new Log(LogLevel.WARN),
    workers: [
      {
        name: "contract",
        modulesRoot: folder,
        compatibilityDate,
        modules: [
          { type: "ESModule", path: `${folder}/index.js` },
          { type: "CompiledWasm", path: `${folder}/index_bg.wasm` },
        ],
        bindings: { ORIGIN: "http://127.0.0.1:9" },
        kvNamespaces: ["CACHE"],
      },
    ],
  }),
);

const answer = await workerd.dispatchFetch("http://contract.internal/");
console.log(`contract ${answer.status} ${await answer.text()}`);
await workerd.dispose();
