// Lets the Worker panic in workerd, in each place where it can, and prints what visitors got. The argument is the folder of
// a Worker built for it.

import { createServer } from "node:http";
import { resolve } from "node:path";
import { durableObjects } from "../../xtask/workerd/wrangler.mjs";
import { builtIn, start } from "./workerd.mjs";

// Answers, but for two pages, which it answers when it is told to.
let isHolding = true;
const held = [];
let arrived = () => {};
const arrival = () => new Promise((resolve) => (arrived = resolve));
const origin = createServer((request, response) => {
  const answer = () => response.writeHead(200, { "content-type": "text/html", "content-length": "4" }).end("page");
  if (isHolding && ["/privacy", "/about-data"].includes(request.url)) {
    held.push(answer);
    arrived();
  } else {
    answer();
  }
});
await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));

const workerd = start([
  {
    name: "trap",
    ...builtIn(resolve(process.argv[2])),
    bindings: { ORIGIN: `http://127.0.0.1:${origin.address().port}` },
    durableObjects,
  },
]);
const url = await workerd.ready;

async function ask(path, trap) {
  const headers = trap === undefined ? {} : { "x-test-trap": trap };
  const answer = await fetch(new URL(path, url), { headers, signal: AbortSignal.timeout(60_000) });
  const body = await answer.text();
  return [answer.status, answer.status === 200 ? body : "", answer.headers.get("cache-status")?.split("; ")[1] ?? ""];
}

// Until the page is stored, which happens beside its answer.
async function stored(path) {
  for (let tries = 0; tries < 600; tries++) {
    const answer = await ask(path);
    if (answer[2] === "hit") return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return "never stored";
}

const report = { warm: await stored("/methodology") };
for (const place of ["at-once", "later", "aside"]) {
  report[place] = [await ask("/methodology", place), await stored("/methodology")];
}
// A request of the same isolate that waits for the origin meanwhile, and is answered before the next event, or after it.
for (const [order, path] of [["before", "/privacy"], ["after", "/about-data"]]) {
  const asked = arrival();
  const neighbour = ask(path);
  await asked;
  report[order] = [await ask("/methodology", "later")];
  if (order === "after") report[order].push(await ask("/methodology"));
  held.splice(0).forEach((answer) => answer());
  report[order].push(await neighbour);
}
isHolding = false;
report.then = await stored("/about-data");
report.limited = (await Promise.all(Array.from({ length: 20 }, (_, n) => ask(`/search?q=${n}`)))).filter(
  ([status]) => status === 429,
).length;
console.log(`trapped ${JSON.stringify(report)}`);
await workerd.dispose();
origin.close();
process.exit(0);
