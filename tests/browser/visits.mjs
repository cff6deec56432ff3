// Whole visits: from the search box to a report.

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
}
