// Every address below /api/v1 that is read with GET, asked and held to the site's own OpenAPI document.
import Ajv from "ajv/dist/2020.js";

// What is wrong, as lines. `places` holds values for parameters of paths; others take the document's example.
export async function askEverything(base, places) {
  const wrong = [];
  const document = await (await fetch(`${base}/api/v1/openapi.json`)).json();
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(document, "openapi");
  const hold = async (url, status, pointer) => {
    const answer = await fetch(base + url);
    if (answer.status !== status) return wrong.push(`${url} is ${answer.status} and not ${status}`);
    const type = answer.headers.get("content-type");
    const body = await answer.json();
    const fits = ajv.getSchema(`openapi#${pointer}`);
    if (!fits) wrong.push(`${url}: the document has nothing at ${pointer}`);
    else if (!fits(body)) wrong.push(`${url} is not as ${pointer} says: ${ajv.errorsText(fits.errors.slice(0, 5))}`);
    if (!pointer.includes(escaped(type))) wrong.push(`${url} is ${type}`);
  };
  for (const [path, methods] of Object.entries(document.paths)) {
    const operation = methods.get;
    if (!operation) continue;
    const [status, answer] = Object.entries(operation.responses).find(([status]) => status !== "default");
    const [type] = Object.keys(answer.content);
    const pointer = `/paths/${escaped(path)}/get/responses/${status}/content/${escaped(type)}/schema`;
    await hold(filled(path, operation.parameters, places), Number(status), pointer);
    if (!operation.parameters.length) continue;
    const problem = `/components/responses/Problem/content/${escaped("application/problem+json")}/schema`;
    await hold(filled(path, operation.parameters, impossible(operation.parameters)), 400, problem);
  }
  return wrong;
}

// A part of a JSON pointer inside a fragment.
function escaped(part) {
  return encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
}

// A value for each parameter that none of them takes.
function impossible(parameters) {
  return Object.fromEntries(parameters.map(({ name }) => [name, " "]));
}

function filled(path, parameters, places) {
  const value = ({ name, example }) => encodeURIComponent(places[name] ?? example);
  const inPath = parameters.filter((parameter) => parameter.in === "path");
  const query = parameters.filter((parameter) => parameter.in === "query");
  const whole = inPath.reduce((whole, parameter) => whole.replace(`{${parameter.name}}`, value(parameter)), path);
  return query.length ? `${whole}?${query.map((parameter) => `${parameter.name}=${value(parameter)}`).join("&")}` : whole;
}
