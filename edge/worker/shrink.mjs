// Takes out of the Worker's module what its build can know already. Two things:
//
// - `lay_out` is run here, and the memory that it leaves becomes that of the module: a deployed Worker has the policy in its
//   memory from the start, and nothing that could read one. What stands below the module's own data is the stack, and is
//   left out.
// - Imports and exports get names of a letter or two, in the module and in the script that wasm-bindgen wrote for it: hashes
//   do not compress.
//
// Called with the module and the script; both are replaced.

import binaryen from "binaryen";
import { readFileSync, writeFileSync } from "node:fs";

// What wasm-bindgen calls its script in imports, and what it is called here.
const GLUE = "./built_bg.js";
const GLUE_SHORT = "./w";
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const PAGE_BYTES = 65_536;
const UNBOUNDED = -1;

const [modulePath, scriptPath] = process.argv.slice(2);
const bytes = readFileSync(modulePath);
const module = binaryen.readBinary(bytes);
keepMemory(module, laidOut(bytes));
const script = shortened(module, readFileSync(scriptPath, "utf8"));
if (!module.validate()) throw new Error("what was made of the module does not hold together");
binaryen.setDebugInfo(true);
writeFileSync(modulePath, module.emitBinary());
writeFileSync(scriptPath, script);

// The memory of the module once it has laid out what it can.
function laidOut(bytes) {
  const compiled = new WebAssembly.Module(bytes);
  const imports = {};
  for (const { module, name } of WebAssembly.Module.imports(compiled)) {
    imports[module] ??= {};
    imports[module][name] = () => {
      throw new Error(`lay_out calls ${name}, which is only there in a Worker`);
    };
  }
  const { exports } = new WebAssembly.Instance(compiled, imports);
  const read = BigInt.asUintN(64, exports.lay_out());
  const memory = new Uint8Array(exports.memory.buffer);
  const [from, length] = [Number(read >> 32n), Number(read & 0xffff_ffffn)];
  return memory.fill(0, from, from + length);
}

function keepMemory(module, memory) {
  const segments = Array.from({ length: module.getNumDataSegments() }, (_, at) => module.getDataSegmentByIndex(at));
  const start = Math.min(...segments.map((segment) => module.getDataSegmentInfo(segment).offset));
  const end = memory.findLastIndex((byte) => byte !== 0) + 1;
  module.removeExport("memory");
  module.removeExport("lay_out");
  const kept = { offset: module.i32.const(start), data: memory.subarray(start, end), passive: false };
  module.setMemory(memory.length / PAGE_BYTES, UNBOUNDED, "memory", [kept], false, false, "0");
}

// Gives what the module and the script share short names in the module, and answers with the script that goes with it.
function shortened(module, script) {
  const functions = Array.from({ length: module.getNumFunctions() }, (_, at) => module.getFunctionByIndex(at));
  const imported = functions.map(binaryen.getFunctionInfo).filter((info) => info.module === GLUE);
  const imports = new Map(imported.map((info, at) => [info.base, short(at)]));
  for (const { name, base, params, results } of imported) {
    module.removeFunction(name);
    module.addFunctionImport(name, GLUE_SHORT, imports.get(base), params, results);
  }

  const all = Array.from({ length: module.getNumExports() }, (_, at) => module.getExportByIndex(at));
  const exported = all.map(binaryen.getExportInfo).filter((info) => info.kind === binaryen.ExternalFunction);
  const exports = new Map(exported.map((info, at) => [info.name, short(at)]));
  exported.forEach(({ name }) => module.removeExport(name));
  exported.forEach(({ name, value }) => module.addFunctionExport(value, exports.get(name)));

  return script
    .replaceAll(`"${GLUE}"`, `"${GLUE_SHORT}"`)
    .replaceAll(/(?<=\bwasm\.)\w+/g, (name) => exports.get(name) ?? name)
    .replaceAll(/(?<![.\w])\w+(?=: function\b)/g, (name) => imports.get(name) ?? name);
}

// The name with this number: a, b, ... Z, aa, ...
function short(at) {
  const rest = at < LETTERS.length ? "" : short(Math.floor(at / LETTERS.length) - 1);
  return rest + LETTERS[at % LETTERS.length];
}
