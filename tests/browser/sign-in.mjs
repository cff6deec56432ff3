// Signing in by the link in a mail, which a mail server of this run keeps in MAIL_FOLDER.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { WITHIN_MS } from "./pages.mjs";

const { ADMIN_EMAIL, MAIL_FOLDER } = process.env;

// Signs in as the administrator and gives the browser's state from then on.
export async function signIn(context, base) {
  const page = await context.newPage();
  await page.goto(base);
  await page.click("[data-sign-in]");
  await page.fill("#email", ADMIN_EMAIL);
  await page.click("main form button");
  await page.waitForURL(/\/auth\/sent/);
  await page.goto(base + (await linkInMail()));
  await page.click("main form button");
  await page.waitForURL(/\/account/);
  const state = await context.storageState();
  await context.close();
  return state;
}

// The path of the link in the only mail.
async function linkInMail() {
  for (const end = Date.now() + WITHIN_MS; Date.now() < end; await new Promise((done) => setTimeout(done, 50))) {
    const mails = (await readdir(MAIL_FOLDER)).filter((name) => name.endsWith(".eml"));
    if (mails.length === 0) continue;
    const text = (await readFile(join(MAIL_FOLDER, mails[0]), "utf8")).replaceAll("=\r\n", "");
    const link = text.match(/\/auth\/verify\/[0-9a-f]+/);
    if (link) return link[0];
    throw new Error(`no link in ${text}`);
  }
  throw new Error("no mail came");
}

// Has the signed-in person watch things, by the form of the account's page.
export async function watch(base, { cookies }, things) {
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  for (const [kind, subject] of Object.entries(things)) {
    const account = await (await fetch(`${base}/account`, { headers: { cookie } })).text();
    const [, token] = account.match(/name="token" value="([0-9a-f]+)"/);
    const body = new URLSearchParams({ token, kind, subject });
    const answer = await fetch(`${base}/account/watch`, { method: "POST", headers: { cookie }, body, redirect: "manual" });
    if (answer.status !== 303) throw new Error(`${kind} ${subject} is not watched: ${answer.status}`);
  }
}
