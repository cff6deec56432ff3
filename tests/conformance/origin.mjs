// The origin of the public cache tests, on a port that the system chooses: the suite's own handlers, without the page and
// the fixed port of its server. Prints where it listens, and runs until it is stopped.
//
//   origin.mjs [DIR]
//
// DIR is a checkout of the suite; without it the handlers are those of the npm package.

import { createServer } from "node:http";
import { handlers } from "./edition.mjs";

const handle = await handlers(process.argv[2]);

const server = createServer((request, response) => {
  const [, name, ...rest] = new URL(request.url, "http://origin.invalid").pathname.split("/");
  const handler = handle[name];
  if (handler) return handler(rest, request, response);
  response.writeHead(404);
  response.end();
});

server.listen(0, "127.0.0.1", () => console.log(`origin listening on ${server.address().port}`));
