// The Worker's entry. `cargo xtask build` puts it and what worker-build made (`built`) into one file.
//
// worker-build makes a class of the Worker. The runtime makes an object of it for each request, behind two proxies that
// notice when the module has panicked, which costs a quarter of what an answer from memory does. Here handlers are called as
// they are, and a panic is noticed where it surfaces.

import Edge, { Collapser, Limiter, Purger } from "built";

const { fetch, scheduled } = Edge.prototype;

// worker-build listens for these too, and takes a new instance of the module when the next object is made.
let hasPanicked = false;
addEventListener("error", ({ error }) => {
  hasPanicked ||= error instanceof WebAssembly.RuntimeError;
});

function failed(error) {
  dispatchEvent(new ErrorEvent("error", { error }));
  throw error;
}

function run(handler, event, env, ctx) {
  if (hasPanicked) {
    hasPanicked = false;
    new Edge(ctx, env);
  }
  try {
    const answer = handler.call({ env, ctx }, event);
    return answer instanceof Promise ? answer.then(undefined, failed) : answer;
  } catch (error) {
    failed(error);
  }
}

export { Collapser, Limiter, Purger };

export default {
  fetch: (request, env, ctx) => run(fetch, request, env, ctx),
  scheduled: (event, env, ctx) => run(scheduled, event, env, ctx),
};
