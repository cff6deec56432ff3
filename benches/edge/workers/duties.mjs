// A proxy by hand that does what the edge does for a request that it asks the origin, and decides nothing: it reads the
// same fields, gives request and answer fields of its own, has a deadline, and writes a line.

const DECISIVE = [
  "accept",
  "accept-language",
  "authorization",
  "connection",
  "cache-control",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "pragma",
  "range",
  "cf-connecting-ip",
];
const NOT_PASSED_ON = new Set(["connection", "host", "x-forwarded-for", "x-forwarded-proto"]);
const DEADLINE_MS = 10_000;

function isPlain(request) {
  return DECISIVE.every((name) => request.headers.get(name) !== "");
}

async function ask(url, method, headers) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), DEADLINE_MS);
  try {
    return await fetch(url, {
      method,
      headers,
      redirect: "manual",
      cache: "no-store",
      signal: abort.signal,
      encodeResponseBody: "manual",
    });
  } finally {
    clearTimeout(timer);
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (!isPlain(request)) return new Response("an empty field", { status: 400 });
    const asked = new Headers();
    for (const [name, value] of request.headers) {
      if (!NOT_PASSED_ON.has(name)) asked.append(name, value);
    }
    asked.set("accept-encoding", "identity");
    asked.set("x-forwarded-proto", url.protocol.slice(0, -1));
    asked.set("x-request-id", crypto.randomUUID());
    const came = await ask(env.ORIGIN + url.pathname + url.search, request.method, asked);
    const answered = new Headers(came.headers);
    answered.set("cache-status", `Duties; fwd=bypass; fwd-status=${came.status}`);
    answered.set("server-timing", "origin;dur=0");
    console.log(`request route=private status=${came.status} method=${request.method} cache=bypass origin=${came.status}`);
    const encodeBody = answered.has("content-encoding") ? "manual" : "automatic";
    return new Response(came.body, { status: came.status, headers: answered, encodeBody });
  },
};
