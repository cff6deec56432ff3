// Lets the Worker and its Durable Objects panic in workerd, in each place where they can, and prints what visitors got. The
// argument is the folder of a Worker built for it.

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

const workerd = start([worker("trap", durableObjects), worker("beside", objectsOf("trap"))]);
const url = await workerd.ready;
// An isolate that asks the objects of the other one.
const beside = await workerd.unsafeGetDirectURL("beside");

function worker(name, durableObjects) {
  return {
    name,
    ...builtIn(resolve(process.argv[2])),
    bindings: { ORIGIN: `http://127.0.0.1:${origin.address().port}` },
    durableObjects,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

function objectsOf(scriptName) {
  const elsewhere = ([name, object]) => [name, { ...object, scriptName }];
  return Object.fromEntries(Object.entries(durableObjects).map(elsewhere));
}

const get = (at, path, options) => fetch(new URL(path, at), { ...options, signal: AbortSignal.timeout(60_000) });

async function ask(path, trap) {
  const headers = trap === undefined ? {} : { "x-test-trap": trap };
  const answer = await get(url, path, { headers });
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

// What an object says to a question that none answers: 400, or nothing when it panics.
async function question(namespace, text) {
  try {
    const objects = await workerd.getDurableObjectNamespace(namespace, "trap");
    const object = objects.get(objects.idFromName("any"));
    return (await object.fetch("https://object.seawall.internal/", { method: "POST", body: text })).status;
  } catch {
    return "panicked";
  }
}

// What `act` gives, once its status is `expected`: on a slow machine a limit may be decided without its object for a while.
async function eventually(expected, act) {
  for (const until = Date.now() + 60_000; ; ) {
    const given = await act();
    if (given.status === expected || Date.now() > until) return given;
  }
}

// The objects' panics, as visitors of another isolate notice them.
async function objects() {
  const arm = (namespace, times = 1) => question(namespace, `panic ${times}`);
  const search = (word) => get(beside, `/search?q=${word}`);
  // A limit that lets nobody pass without its object, and has five, of which one is earned back in twelve seconds.
  const signIn = async (client, panics) => {
    await arm("LIMITER", panics);
    const { status, headers } = await get(beside, "/auth/send-link", {
      method: "POST",
      headers: { "cf-connecting-ip": client },
    });
    return { status, left: Number(/"sign-in";r=(\d+)/.exec(headers.get("ratelimit"))?.[1]) };
  };
  const report = {};
  for (const namespace of ["LIMITER", "PURGES", "COLLAPSE"]) {
    report[namespace] = [await arm(namespace), await question(namespace, "?"), await question(namespace, "?")];
  }
  // What was counted is counted still, but for what is earned back meanwhile.
  const began = Date.now();
  let before;
  for (let n = 0; n < 3; n++) before = await eventually(200, () => signIn("203.0.113.1", 0));
  await arm("LIMITER");
  report.between = [await question("LIMITER", "?"), await question("LIMITER", "?")];
  const after = await eventually(200, () => signIn("203.0.113.1", 0));
  report.counts = after.left < before.left + Math.ceil((Date.now() - began) / 12_000);
  // A question that broke off is asked again, once. Where that panics too, the limit's rule decides, until the next.
  report.once = (await eventually(200, () => signIn("203.0.113.2", 1))).status;
  report.twice = (await eventually(429, () => signIn("203.0.113.2", 2))).status;
  await arm("LIMITER", 2);
  report.local = (await search("panics")).status;
  report.then = (await eventually(200, () => signIn("203.0.113.2", 0))).status;
  // Those who ask meanwhile are all answered.
  const crowd = Array.from({ length: 20 }, (_, n) => search(`c${n}`));
  const panics = (async () => {
    for (let n = 0; n < 5; n++) {
      await arm("LIMITER", 2);
    }
  })();
  const statuses = (await Promise.all(crowd)).map(({ status }) => status);
  await panics;
  report.crowd = statuses.every((status) => status === 200 || status === 429);
  return report;
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
report.objects = await objects();
console.log(`trapped ${JSON.stringify(report)}`);
await workerd.dispose();
origin.close();
process.exit(0);
