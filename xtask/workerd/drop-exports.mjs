// Takes exports out of a WASM module that nothing in this Worker calls, so that what they hold alive goes too.
//
//   drop-exports.mjs MODULE
//
// The worker crate exports classes for streams that Rust produces, containers, R2 and minification whether they are used or
// not. Rust makes none of them here: for each that it made, the module would import the class's constructor, and then this
// stops. Durable Objects get handlers for sockets that they never accept.

import { readFileSync, writeFileSync } from "node:fs";
import binaryen from "binaryen";

const CLASSES = [
  "containerstartupoptions",
  "intounderlyingbytesource",
  "intounderlyingsink",
  "intounderlyingsource",
  "minifyconfig",
  "r2range",
];
const HANDLERS = ["_connect", "_webSocketClose", "_webSocketError", "_webSocketMessage"];

const [path] = process.argv.slice(2);
const bytes = readFileSync(path);
const compiled = new WebAssembly.Module(bytes);
for (const { name } of WebAssembly.Module.imports(compiled)) {
  const made = CLASSES.find((known) => name.startsWith(`__wbg_${known}_new`));
  if (made) throw new Error(`${made} is in use: keep its exports`);
}

const words = (name) => name.replace(/^__wbg_(get_|set_)?/, "").split("_")[0];
const module = binaryen.readBinary(bytes);
module.setFeatures(binaryen.Features.All);
for (const { name } of WebAssembly.Module.exports(compiled)) {
  if (CLASSES.includes(words(name)) || HANDLERS.some((handler) => name.endsWith(handler))) module.removeExport(name);
}
writeFileSync(path, module.emitBinary());
