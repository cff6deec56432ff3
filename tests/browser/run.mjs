// Looks at every page of a running site: `node run.mjs <address> [folder for pictures]`. CHROME_PATH names the browser;
// without it Playwright's own is used. Ends with a list of what is wrong, or with nothing.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { askEverything } from "./api.mjs";
import { LOOKS, OWN_PAGES, PAGES, WITHIN_MS, findPlaces, unknownPages } from "./pages.mjs";
import { signIn, watch } from "./sign-in.mjs";
import { byKeyboard, onPaper, signedIn, suggestions, withoutScripts } from "./visits.mjs";

// Longest page in bytes, uncompressed.
const PAGE_BYTES_MAX = 100_000;
// How well a picture is kept, of 100. Text stays readable.
const PICTURE_QUALITY = 40;

const [base, pictures] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const wrong = [];

// Collects what a page must not do: write errors, break its own security policy, ask anyone else.
async function watched(context) {
  const page = await context.newPage();
  const seen = [];
  // The page itself answers 404 where that is what is looked at.
  page.on("console", (message) => {
    const own = message.location().url === page.url() && message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !own) seen.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => seen.push(`script: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== new URL(base).origin && url.protocol !== "data:") seen.push(`asks another host: ${url}`);
  });
  return { page, seen };
}

async function look(context, name, path, status, look) {
  const { page, seen } = await watched(context);
  const say = (what) => wrong.push(`${name} (${look}): ${what}`);
  const response = await page.goto(base + path, { waitUntil: "load" });
  if (response.status() !== status) say(`${path} is ${response.status()} and not ${status}`);
  const bytes = (await response.body()).length;
  if (bytes >= PAGE_BYTES_MAX) say(`${bytes} bytes of HTML`);
  const { width, inner } = await page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    inner: document.documentElement.clientWidth,
  }));
  if (width > inner) say(`scrolls sideways: ${width} of ${inner} pixels`);
  (await barriers(page)).forEach(say);
  seen.forEach(say);
  if (pictures) await keep(page, `${name}-${look}`);
  await page.close();
}

// What keeps someone from using the page as it is now.
async function barriers(page) {
  // Runs beside the page and not in it, so the page's security policy is in force.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return grave.map((violation) => {
    const places = violation.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`);
    return `${violation.id}: ${violation.help}: ${places.join("; ")}`;
  });
}

// A picture of what is seen without scrolling.
async function keep(page, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: PICTURE_QUALITY });
  await writeFile(join(pictures, `${name}.webp`), Buffer.from(data, "base64"));
}

// What the site computes at its times.
async function compute() {
  const headers = { authorization: `Bearer ${process.env.CRON_SECRET}` };
  for (const job of ["velocity-refresh", "resolve-entities", "signals"]) {
    const answer = await fetch(`${base}/cron/${job}`, { method: "POST", headers });
    const place = answer.headers.get("location");
    if (!place) throw new Error(`${job}: ${answer.status} ${await answer.text()}`);
    let run = await answer.json();
    // It goes on beside us where it takes longer than the origin lets anyone wait.
    for (const end = Date.now() + WITHIN_MS; ["queued", "running"].includes(run.status); ) {
      if (Date.now() > end) throw new Error(`${job} does not end: ${JSON.stringify(run)}`);
      await new Promise((done) => setTimeout(done, 200));
      run = await (await fetch(new URL(place, base), { headers })).json();
    }
    if (run.status !== "success") throw new Error(`${job}: ${JSON.stringify(run)}`);
  }
}

// Someone who looks at the site, with patience.
async function visitor(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(WITHIN_MS);
  return context;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROME_PATH,
  // Pages are our own; without this Chromium refuses to run as root, as it does in containers.
  args: ["--no-sandbox"],
});
try {
  await compute();
  if (pictures) await mkdir(pictures, { recursive: true });
  const places = await findPlaces(base);
  const own = await signIn(await visitor(browser), base);
  await watch(base, own, { parcel: `${places.block}/${places.lot}`, permit: places.permit_number });
  const cookie = own.cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  wrong.push(...(await askEverything(base, places, cookie)));
  for (const path of await unknownPages(base, places)) wrong.push(`${path} is in the sitemap or in pages.mjs, and not in both`);
  for (const [name, options] of Object.entries(LOOKS)) {
    const context = await visitor(browser, options);
    for (const page of PAGES) await look(context, page.name, page.path(places), page.status ?? 200, name);
    await context.close();
    const mine = await visitor(browser, { ...options, storageState: own });
    for (const page of OWN_PAGES) await look(mine, page.name, page.path(places), 200, name);
    await mine.close();
  }
  for (const [name, visit, options] of [
    ["by keyboard", byKeyboard, {}],
    ["without scripts", withoutScripts, { javaScriptEnabled: false }],
    ["suggestions", suggestions, {}],
    ["signed in", signedIn, { storageState: own }],
    ["on paper", onPaper, {}],
  ]) {
    const context = await visitor(browser, { ...LOOKS.light, ...options });
    const { page, seen } = await watched(context);
    await visit(page, base, { ...places, barriers, keep: (page, name) => pictures && keep(page, name) }).catch((error) => wrong.push(`${name}: ${error.message}`));
    seen.forEach((what) => wrong.push(`${name}: ${what}`));
    await context.close();
  }
} finally {
  await browser.close();
}
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exitCode = 1;
}
