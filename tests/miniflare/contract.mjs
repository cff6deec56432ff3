// Runs the contract of the stores in workerd, against the Cache API and Workers KV. The argument is the folder of a Worker
// built for it. Prints what went wrong, if anything did.

import { resolve } from "node:path";
import { builtIn, start } from "./workerd.mjs";

const workerd = start([
  {
    name: "contract",
    ...builtIn(resolve(process.argv[2])),
    bindings: { ORIGIN: "http://127.0.0.1:9" },
    kvNamespaces: ["CACHE"],
  },
]);

const answer = await workerd.dispatchFetch("http://contract.internal/");
console.log(`contract ${answer.status} ${await answer.text()}`);
await workerd.dispose();
