// The origin of the public cache tests, on a port that the system chooses: the package's own handlers, without the page
// and the fixed port of its server. Prints where it listens, and runs until it is stopped.

import { createServer } from "node:http";
import handleConfig from "http-cache-tests/server/handle-config.mjs";
import handleState from "http-cache-tests/server/handle-state.mjs";
import handleTest from "http-cache-tests/server/handle-test.mjs";

const handlers = { config: handleConfig, state: handleState, test: handleTest };

const server = createServer((request, response) => {
  const [, name, ...rest] = new URL(request.url, "http://origin.invalid").pathname.split("/");
  const handler = handlers[name];
  if (handler) return handler(rest, request, response);
  response.writeHead(404);
  response.end();
});

server.listen(0, "127.0.0.1", () => console.log(`origin listening on ${server.address().port}`));
