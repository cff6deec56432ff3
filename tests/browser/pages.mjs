// Which pages there are, and how they are looked at.

// How long anything may take to come about on a machine that is slow and busy.
export const WITHIN_MS = 120_000;

// How pages are looked at.
export const LOOKS = {
  light: { viewport: { width: 1200, height: 860 }, colorScheme: "light" },
  dark: { viewport: { width: 1200, height: 860 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true },
};

// Every kind of page. `path` takes what `findPlaces` found.
export const PAGES = [
  { name: "landing", path: () => "/" },
  { name: "search", path: () => "/search?q=Market" },
  { name: "search-planning", path: ({ record }) => `/search?q=${record}` },
  { name: "search-nothing", path: () => "/search?q=zzzzzz" },
  { name: "search-blank", path: () => "/search" },
  { name: "report", path: ({ report }) => report },
  { name: "permit", path: ({ permit_number }) => `/permit/${permit_number}` },
  { name: "firm", path: ({ id }) => `/firm/${id}` },
  { name: "demo", path: () => "/demo" },
  { name: "velocity", path: () => "/velocity" },
  { name: "stuck", path: () => "/stuck" },
  { name: "methodology", path: () => "/methodology" },
  { name: "privacy", path: () => "/privacy" },
  { name: "api", path: () => "/api" },
  { name: "about-data", path: () => "/about-data" },
  { name: "sign-in", path: () => "/auth/login" },
  { name: "not-found", path: () => "/no/such/page", status: 404 },
  { name: "bad-request", path: () => `/search?q=${"x".repeat(400)}`, status: 400 },
];

// Pages of someone who is signed in.
export const OWN_PAGES = [
  { name: "account", path: () => "/account" },
  { name: "brief", path: () => "/brief?lookback=30" },
  { name: "admin", path: () => "/admin" },
  { name: "admin-perf", path: () => "/admin/perf" },
];

// Addresses that the site tells crawlers of and that no page above is. Every report of the city is in these lists.
export async function unknownPages(base, { report }) {
  const addresses = async (path) => {
    const text = await (await fetch(base + path)).text();
    return [...text.matchAll(/<loc>([^<]*)<\/loc>/g)].map(([, url]) => new URL(url).pathname);
  };
  const [pages, ...lists] = await addresses("/sitemap.xml");
  const known = PAGES.map((page) => page.path({}));
  const unknown = (await addresses(pages)).filter((path) => !known.includes(path));
  const reports = (await Promise.all(lists.map(addresses))).flat();
  return reports.includes(report) ? unknown : [...unknown, report];
}

// A report and a permit of the city that is loaded: of the first page of a street, the permit with most addresses. And
// somebody who stands behind names.
export async function findPlaces(base) {
  const found = await (await fetch(`${base}/api/v1/search?q=Market`)).json();
  const hits = found.results.filter((hit) => hit.addresses.some((address) => address.report));
  const hit = hits.sort((one, other) => other.addresses.length - one.addresses.length)[0];
  const { report, block, lot } = hit.addresses.find((address) => address.report);
  return { report, block, lot, permit_number: hit.permit_number, id: await findEntity(base), record: await findRecord(base) };
}

// A record of the planning department.
async function findRecord(base) {
  for (let year = new Date().getFullYear(); year > 2000; year -= 1) {
    const { suggestions } = await (await fetch(`${base}/api/v1/suggest?q=${year}-`)).json();
    const record = suggestions.find(({ kind }) => kind === "planning");
    if (record) return record.term;
  }
  throw new Error("no suggestion is a record of the planning department");
}

async function findEntity(base) {
  for (const begin of ["an", "be", "co", "da", "el", "jo", "ma", "pa", "ro", "sa"]) {
    const { suggestions } = await (await fetch(`${base}/api/v1/suggest?q=${begin}`)).json();
    const entity = suggestions.find(({ kind }) => kind === "entity");
    if (entity) return entity.href.split("/").pop();
  }
  throw new Error("no suggestion is a person or a firm");
}
