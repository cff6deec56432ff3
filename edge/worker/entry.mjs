// The Worker's entry. `cargo xtask build` puts it and what wasm-bindgen wrote (`built`) into one file.
//
// Handlers are called as they are, with nothing around them that each request would pay for. After a panic the memory of
// the module cannot be trusted, so the next event begins in a new one; a panic shows where it surfaces, as a trap.

import module from "./index_bg.wasm";
import * as edge from "built";

edge.initSync({ module });

let worker = new edge.Worker();
let hasTrapped = false;
let life = 0;

// The stack is all that a panic says.
function note(error) {
  if (error instanceof WebAssembly.RuntimeError) {
    hasTrapped = true;
    console.error(error.stack);
  }
}

// What nobody waits for ends here.
addEventListener("error", ({ error }) => note(error));

function run(work) {
  if (hasTrapped) {
    hasTrapped = false;
    edge.__wbg_reset_state();
    worker = new edge.Worker();
    life += 1;
  }
  try {
    return work();
  } catch (error) {
    note(error);
    throw error;
  }
}

// A Durable Object around one of the module's values, which is made anew when the module is.
function durable(Kind) {
  return class {
    #state;
    #value;
    #life;

    constructor(state) {
      this.#state = state;
    }

    #run(work) {
      return run(() => {
        if (this.#life !== life) {
          this.#value = new Kind(this.#state);
          this.#life = life;
        }
        return work(this.#value);
      });
    }

    async fetch(request) {
      const question = await request.text();
      const answer = this.#run((value) => value.answer(question));
      return answer === undefined ? new Response("not a question to this object", { status: 400 }) : new Response(answer);
    }

    alarm() {
      this.#run((value) => value.alarm());
    }
  };
}

export const Collapser = durable(edge.Collapser);
export const Limiter = durable(edge.Limiter);
export const Purger = durable(edge.Purger);

export default {
  fetch: (request, env, context) => run(() => worker.fetch(request, env, context)),
  scheduled: ({ cron, scheduledTime }, env, context) => run(() => worker.scheduled(cron, scheduledTime, env, context)),
};
