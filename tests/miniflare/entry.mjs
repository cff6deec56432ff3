// The built Worker with three things in a test's hands: the clock, how the authority of the shared limits behaves, and
// what was counted, which the local simulator of Analytics Engine drops.
// The module and its glue are the build's own. A test speaks to this file under /__test/, which no route has.

import Edge, { Collapser as Flights, Limiter as Authority, Purger as Log } from "../../edge/worker/build/index.js";

// The clock stands still until a test moves it, so that every age and wait has one right value. Timers stay real.
// It stands at a whole second, because HTTP dates do. workerd has no time yet while it loads this module.
const realNow = Date.now;
let startMs = 0;
let aheadMs = 0;
Date.now = () => (startMs ||= Math.floor(realNow() / 1000) * 1000) + aheadMs;

// The origin lives in the same moment: without this a response to an advanced clock would arrive hours old.
const realFetch = globalThis.fetch;
globalThis.fetch = async (...call) => {
  const response = await realFetch(...call);
  const date = Date.parse(response.headers.get("date"));
  if (aheadMs === 0 || Number.isNaN(date)) return response;
  const moved = new Response(response.body, response);
  moved.headers.set("date", new Date(date + aheadMs).toUTCString());
  return moved;
};

// A timer runs out when the machine has run for so long: it is counted in steps, and a pause of the machine is in one of
// them at most. So a deadline of the Worker's is reached by who does not answer, and not by who could not.
const STEPS = 10;
const { setTimeout: realTimeout, clearTimeout: realClear } = globalThis;
globalThis.setTimeout = (run, ms, ...values) => {
  const timer = { steps: 0 };
  const step = () => (timer.steps++ < STEPS ? (timer.id = realTimeout(step, ms / STEPS)) : run(...values));
  step();
  return timer;
};
globalThis.clearTimeout = (timer) => realClear(timer?.id);

let authority = "answers";
let log = "answers";
let collapse = "answers";
let collapseQuestions = 0;
const points = [];

function command(url) {
  const [, , name, value] = url.pathname.split("/");
  switch (name) {
    case "clock":
      return new Response(Date.now());
    case "advance":
      aheadMs += Number(value);
      return new Response(Date.now());
    case "authority":
      authority = value;
      return new Response(authority);
    case "points":
      return Response.json(points);
    case "log":
      log = value;
      return new Response(log);
    case "collapse":
      collapse = value ?? collapse;
      return new Response(collapseQuestions);
    default:
      return new Response(`no such command: ${url.pathname}`, { status: 404 });
  }
}

const measured = (env) => ({ ...env, METRICS: { writeDataPoint: (point) => points.push(point) } });

export default {
  fetch(request, env, context) {
    const url = new URL(request.url);
    return url.pathname.startsWith("/__test/") ? command(url) : Edge.fetch(request, measured(env), context);
  },

  scheduled(event, env, context) {
    return Edge.scheduled(event, measured(env), context);
  },
};

export class Limiter extends Authority {
  constructor(state, env) {
    super(state, env);
    this.dies = () => state.abort("the test ended the authority");
  }

  async fetch(request) {
    switch (authority) {
      case "dies":
        authority = "answers";
        return this.dies();
      case "fails":
        throw new Error("the test made the authority fail");
      case "hangs":
        await new Promise((resolve) => setTimeout(resolve, LONGER_THAN_ANY_DEADLINE_MS));
    }
    return super.fetch(request);
  }
}

export class Purger extends Log {
  async fetch(request) {
    if (log === "fails") throw new Error("the test made the log of purges fail");
    return super.fetch(request);
  }
}

export class Collapser extends Flights {
  async fetch(request) {
    collapseQuestions++;
    if (collapse === "fails") throw new Error("the test made the object of shared calls fail");
    return super.fetch(request);
  }
}

const LONGER_THAN_ANY_DEADLINE_MS = 30_000;
