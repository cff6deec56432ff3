// A Worker that runs the contract of the stores, and answers with what went wrong.

import module from "./index_bg.wasm";
import * as built from "built";

built.initSync({ module });

export default {
  fetch: async (request, env, context) => new Response(await built.contract(env, context)),
};
