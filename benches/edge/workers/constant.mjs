// The least that a Worker can do: one body, the same for every request.

const BODY = new TextEncoder().encode("x".repeat(1024));
const HEADERS = { "content-type": "text/html; charset=utf-8" };

export default {
  fetch() {
    return new Response(BODY, { headers: HEADERS });
  },
};
