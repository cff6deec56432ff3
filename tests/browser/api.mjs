// An export, and every address below /api/v1 that is read with GET, asked and held to the site's own OpenAPI document.
import Ajv from "ajv/dist/2020.js";

import { WITHIN_MS } from "./pages.mjs";

// What is wrong, as lines. `places` holds values for parameters of paths; others take the document's example. Asks as
// whoever has `cookie`.
export async function askEverything(base, places, cookie) {
  const wrong = [];
  const document = await (await fetch(`${base}/api/v1/openapi.json`)).json();
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(document, "openapi");
  // The answer, held to what the document has at `pointer`, unless it is no JSON.
  const hold = async (method, url, status, pointer) => {
    const answer = await fetch(base + url, { method, headers: { cookie } });
    // 400 stands for what the visitor did wrong: an order that is not there is 404.
    const isExpected = status === 400 ? answer.status >= 400 && answer.status < 500 : answer.status === status;
    if (!isExpected) return wrong.push(`${method} ${url} is ${answer.status} and not ${status}`);
    const type = answer.headers.get("content-type").split(";")[0];
    if (!type.endsWith("json")) {
      return pointer.includes(escaped(type)) || wrong.push(`${url} is ${type}`);
    }
    const body = await answer.json();
    const fits = ajv.getSchema(`openapi#${pointer}`);
    if (!fits) wrong.push(`${url}: the document has nothing at ${pointer}`);
    else if (!fits(body)) wrong.push(`${url} is not as ${pointer} says: ${ajv.errorsText(fits.errors.slice(0, 5))}`);
    if (!pointer.includes(escaped(type))) wrong.push(`${url} is ${type}`);
    return body;
  };
  const job = await hold("POST", "/api/v1/exports?q=Market", 202, answerOf(document, "/api/v1/exports", "post").pointer);
  places = { ...places, job_id: job?.job_id };
  await ended(base, places.job_id);
  for (const [path, methods] of Object.entries(document.paths)) {
    const { get } = methods;
    if (!get) continue;
    const { status, pointer } = answerOf(document, path, "get");
    await hold("GET", filled(path, get.parameters, places), status, pointer);
    if (!get.parameters.length) continue;
    const problem = `/components/responses/Problem/content/${escaped("application/problem+json")}/schema`;
    await hold("GET", filled(path, get.parameters, impossible(get.parameters)), 400, problem);
  }
  return wrong;
}

// The status of an operation that goes well, and where the shape of its answer is.
function answerOf(document, path, method) {
  const responses = Object.entries(document.paths[path][method].responses);
  const [status, { content }] = responses.find(([status]) => status !== "default");
  const [type] = Object.keys(content);
  const pointer = `/paths/${escaped(path)}/${method}/responses/${status}/content/${escaped(type)}/schema`;
  return { status: Number(status), pointer };
}

// Waits until a job has ended.
async function ended(base, job) {
  for (const end = Date.now() + WITHIN_MS; Date.now() < end; await new Promise((done) => setTimeout(done, 200))) {
    const { state } = await (await fetch(`${base}/api/v1/jobs/${job}`)).json();
    if (state === "done") return;
  }
  throw new Error(`the export ${job} is not done in time`);
}

// A part of a JSON pointer inside a fragment.
function escaped(part) {
  return encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
}

// A value for each parameter that none of them takes: longer than any search, number or name.
function impossible(parameters) {
  return Object.fromEntries(parameters.map(({ name }) => [name, "x".repeat(400)]));
}

function filled(path, parameters, places) {
  const value = ({ name, example }) => encodeURIComponent(places[name] ?? example);
  const inPath = parameters.filter((parameter) => parameter.in === "path");
  const query = parameters.filter((parameter) => parameter.in === "query");
  const whole = inPath.reduce((whole, parameter) => whole.replace(`{${parameter.name}}`, value(parameter)), path);
  return query.length ? `${whole}?${query.map((parameter) => `${parameter.name}=${value(parameter)}`).join("&")}` : whole;
}
