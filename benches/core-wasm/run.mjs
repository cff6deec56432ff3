// Runs the module's loops and prints, as JSON, the nanoseconds of one operation: the median of five runs.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const bytes = readFileSync(process.argv[2]);
const module = new WebAssembly.Module(bytes);
const imports = WebAssembly.Module.imports(module).length;
const core = new WebAssembly.Instance(module).exports;

const median = (work, count) => {
  const runs = [];
  for (let run = 0; run <= 5; run++) {
    const started = process.hrtime.bigint();
    const done = work(count);
    const took = Number(process.hrtime.bigint() - started);
    if (done !== count) throw new Error(`only ${done} of ${count} came out as expected`);
    // The first run warms the compiler.
    if (run > 0) runs.push(took / count);
  }
  return runs.sort((one, other) => one - other)[2];
};
const called = (count) => {
  let done = 0;
  const now = 784111777000000000n;
  for (let call = 0; call < count; call++) done += core.gcra_once(now);
  return done;
};

console.log(JSON.stringify({
  bytes: bytes.length,
  gzip: gzipSync(bytes, { level: 9 }).length,
  imports,
  ns: {
    "GCRA, one key": median(core.gcra, 5_000_000),
    "GCRA, one key, called from JavaScript": median(called, 5_000_000),
    "GCRA, a hundred thousand keys": median(core.gcra_keyed, 1_000_000),
    "cache, fresh hit": median(core.cache_hit, 200_000),
    "cache, storing": median(core.cache_store, 200_000),
    "breaker, admit and record": median(core.breaker, 1_000_000),
  },
}));
