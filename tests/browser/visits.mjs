// Whole visits: from the search box to a report, and what stands beside that way.

// A sheet of paper in pixels.
const A4 = { width: 794, height: 1123 };

// Tabs until `selector` has the focus; every stop on the way must be seen.
async function tabTo(page, selector, stops) {
  for (let stop = 0; stop < stops; stop += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate((wanted) => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { width, height } = element.getBoundingClientRect();
      const seen = outlineStyle !== "none" && outlineWidth !== "0px" && width > 0 && height > 0;
      return { there: element.matches(wanted), seen, what: element.outerHTML.slice(0, 120) };
    }, selector);
    if (!focus.seen) throw new Error(`the focus is not seen on ${focus.what}`);
    if (focus.there) return;
  }
  throw new Error(`${selector} is not reached in ${stops} stops`);
}

// The skip link first, then the box, the results and a report, without a mouse.
export async function byKeyboard(page, base) {
  await page.goto(base);
  await tabTo(page, ".skip", 1);
  await tabTo(page, "#q", 12);
  await page.keyboard.type("Market");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/search\?q=Market/);
  await tabTo(page, ".hits a", 20);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/report\//);
  await tabTo(page, ".skip", 1);
  await page.keyboard.press("Enter");
  await tabTo(page, "main a, main summary, main [tabindex]", 1);
}

// The same by forms and links alone.
export async function withoutScripts(page, base) {
  await page.goto(base);
  await page.fill("#q", "Market");
  await page.click("main form button");
  await page.waitForURL(/\/search\?q=Market/);
  await page.click(".hits a >> nth=0");
  await page.waitForURL(/\/report\//);
  const heading = await page.textContent("h1");
  if (!/market/i.test(heading)) throw new Error(`the report of a permit on Market is headed ${heading}`);
  await page.fill("#q", "3507/004");
  await page.click("header form button");
  await page.waitForURL(/\/search\?q=3507/);
  // Ordered by a button; the page that waits asks for itself anew, and ends with the file.
  await page.click("form[action='/exports'] button");
  const file = page.locator("a[download]");
  await file.waitFor();
  const answer = await page.request.get(base + (await file.getAttribute("href")));
  const text = await answer.text();
  if (!text.startsWith("permit_number,")) throw new Error(`the export is ${answer.status()}: ${text.slice(0, 80)}`);
}

// What is typed is completed: by keys, heard by screen readers, and with nothing to see of it when the site does not answer.
export async function suggestions(page, base, { barriers, keep }) {
  await page.goto(base);
  const box = page.locator("#q");
  const list = page.getByRole("listbox");
  // At once: of a text that is typed slowly each part has a list, and one replaces the other.
  await box.fill("mark");
  await list.waitFor();
  const state = () => page.evaluate(() => {
    const box = document.querySelector("#q");
    const option = document.getElementById(box.getAttribute("aria-activedescendant"));
    return { expanded: box.getAttribute("aria-expanded"), option: option?.textContent, href: option?.dataset.href };
  });
  const expect = async (what, holds) => {
    const now = await state();
    if (!holds(now)) throw new Error(`${what}: ${JSON.stringify(now)}`);
    return now;
  };
  await expect("the list is open and nothing is chosen", ({ expanded, option }) => expanded === "true" && !option);
  for (const barrier of await barriers(page)) throw new Error(barrier);
  await page.keyboard.press("ArrowDown");
  await expect("down chooses the first", ({ option }) => /market/i.test(option));
  await keep(page, "suggestions");
  await page.keyboard.press("ArrowUp");
  await expect("up goes back to the box", ({ option }) => !option);
  await page.keyboard.press("Escape");
  await expect("escape closes", ({ expanded }) => expanded === "false");
  if ((await box.inputValue()) !== "mark") throw new Error("escape takes the text away");
  await box.pressSequentially("e");
  await list.waitFor();
  await page.keyboard.press("ArrowDown");
  const { href } = await state();
  await page.keyboard.press("Enter");
  await page.waitForURL(base + href);
  // One that is pressed, in the box at the top of every page.
  await box.fill("");
  await box.fill("mark");
  await page.getByRole("option").first().click();
  await page.waitForURL(/\/search\?q=/);
  // Without an answer the box still searches.
  await page.route("**/api/v1/suggest*", (route) => route.fulfill({ status: 200, body: "no JSON" }));
  await box.fill("");
  await box.pressSequentially("Market");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/search\?q=Market$/);
}

// Pages that caches keep are the same for everybody, and lead whoever is signed in to what is theirs.
export async function signedIn(page, base) {
  await page.goto(base);
  const cookie = (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const bodies = await Promise.all([{}, { cookie }].map(async (headers) => (await fetch(base, { headers })).text()));
  if (bodies[0] !== bodies[1]) throw new Error("the landing page differs for who is signed in");
  await page.click("header nav a:text('Your brief')");
  await page.waitForURL(/\/brief/);
  for (const part of ["#places", "#signals", "#health", "#fresh"]) await page.locator(part).waitFor();
  await page.click("header nav button:text('Sign out')");
  await page.waitForURL(base + "/");
  if (!(await page.textContent("header nav")).includes("Sign in")) throw new Error("nobody can sign in again");
}

// A report as it is printed: what leads elsewhere on a screen is gone, what is folded is open, and links say where they lead.
export async function onPaper(page, base, { report, keep }) {
  await page.goto(base + report);
  await page.emulateMedia({ media: "print" });
  await page.setViewportSize(A4);
  const { gone, open, link, width } = await page.evaluate(() => {
    const seen = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility());
    return {
      gone: seen("nav, form, button, .skip").map((element) => element.outerHTML.slice(0, 60)),
      open: seen("main svg").length > 0 && seen("details > ul").length === document.querySelectorAll("details > ul").length,
      link: getComputedStyle(document.querySelector("main a[href^='https://']"), "::after").content,
      width: document.documentElement.scrollWidth,
    };
  });
  if (gone.length > 0) throw new Error(`on paper there is ${gone}`);
  if (!open) throw new Error("the plot or what is folded is not on paper");
  if (!link.includes("https://")) throw new Error(`a link says ${link}`);
  if (width > A4.width) throw new Error(`the paper is ${A4.width} wide and the page ${width}`);
  await keep(page, "report-print");
  const pdf = await page.pdf({ format: "A4" });
  if (!pdf.subarray(0, 5).equals(Buffer.from("%PDF-"))) throw new Error("no PDF is made");
}
