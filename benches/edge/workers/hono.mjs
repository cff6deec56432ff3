// What a site does without an edge of its own: Hono, and the Cache API by hand.

import { Hono } from "hono";

const app = new Hono();

app.get("*", async (context) => {
  const cache = caches.default;
  const found = await cache.match(context.req.raw);
  if (found) return found;
  const response = await fetch(context.env.ORIGIN + context.req.path);
  context.executionCtx.waitUntil(cache.put(context.req.raw, response.clone()));
  return response;
});

export default app;
