// Upstash's own clients against the stand-in: they accept its answers, and so it keeps their rules. The arguments are its
// URL and token. Ends with an error when anything is not as with Upstash.

import assert from "node:assert/strict";
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";

const [url, token] = process.argv.slice(2);

// With base64, as the client is by default, and without.
for (const responseEncoding of [undefined, false]) {
  const redis = new Redis({ url, token, responseEncoding, enableTelemetry: false, retry: false });
  const key = `clients:${responseEncoding}`;
  assert.equal(await redis.set(key, "häuser ✓"), "OK");
  assert.equal(await redis.get(key), "häuser ✓");
  assert.equal(await redis.get("clients:nothing"), null);
  assert.equal(await redis.incr(`${key}:n`), 1);
  assert.deepEqual(await redis.eval("return {KEYS[1], ARGV[1], 7, false}", ["k"], ["v"]), ["k", "v", 7, null]);
  await assert.rejects(redis.lpush(key, "x"), /WRONGTYPE/);
  await assert.rejects(redis.evalsha("0".repeat(40), [], []), /NOSCRIPT/);
  assert.deepEqual(await redis.pipeline().incr(`${key}:n`).get(key).exec(), [2, "häuser ✓"]);
  assert.deepEqual(await redis.multi().incr(`${key}:n`).get(key).exec(), [3, "häuser ✓"]);
  const results = await redis.pipeline().lpush(key, "x").incr(`${key}:n`).exec({ keepErrors: true });
  assert.match(results[0].error, /WRONGTYPE/);
  assert.equal(results[1].result, 4);
}

const stranger = new Redis({ url, token: "another", enableTelemetry: false, retry: false });
await assert.rejects(stranger.get("clients"), /WRONGPASS/);

// Its limiter: five pass, the sixth does not.
const redis = new Redis({ url, token, enableTelemetry: false, retry: false });
for (const limiter of [Ratelimit.fixedWindow(5, "1 h"), Ratelimit.slidingWindow(5, "1 h"), Ratelimit.tokenBucket(5, "1 h", 5)]) {
  const ratelimit = new Ratelimit({ redis, limiter, prefix: `limiter:${limiter.length}:${Math.random()}`, ephemeralCache: false });
  const passes = [];
  for (let spent = 0; spent < 6; spent++) passes.push((await ratelimit.limit("somebody")).success);
  assert.deepEqual(passes, [true, true, true, true, true, false]);
}
console.log("accepted");
