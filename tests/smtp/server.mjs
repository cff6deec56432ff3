// A mail server that keeps what it takes: each mail is a file in the folder that the argument names. What the first part
// of an address asks for, happens:
//   later-…  the first attempt is told to come back
//   never-…  is refused for good
//   held-…   is taken when the folder has a file "go"; until then the sender waits
// With a certificate and its key as further arguments it takes mail over TLS only: after STARTTLS, or from the start where
// the last argument is "implicit". A session that does not get that far leaves a file "broken".

import { readFileSync } from "node:fs";
import { access, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SMTPServer } from "smtp-server";

const [folder, certificate, key, from] = process.argv.slice(2);
const encrypted = certificate && { cert: readFileSync(certificate), key: readFileSync(key), secure: from === "implicit" };
const seen = new Set();
let taken = 0;

function refusal(code, text) {
  return Object.assign(new Error(text), { responseCode: code });
}

async function released() {
  while (!(await access(join(folder, "go")).then(() => true, () => false))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const server = new SMTPServer({
  authOptional: true,
  ...(encrypted || { disabledCommands: ["STARTTLS"] }),
  onMailFrom(address, session, done) {
    done(encrypted && !session.secure ? refusal(530, "TLS first") : null);
  },
  onRcptTo({ address }, session, done) {
    const [kind] = address.split("-");
    if (kind === "never") return done(refusal(550, "no such mailbox"));
    if (kind === "later" && !seen.has(address)) {
      seen.add(address);
      return done(refusal(451, "come back later"));
    }
    done();
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", async () => {
      const to = session.envelope.rcptTo[0].address;
      if (to.startsWith("held-")) {
        await writeFile(join(folder, "waiting"), "");
        await released();
      }
      const name = String(taken++).padStart(4, "0");
      // Written aside and renamed, so that who reads the folder finds whole mails only.
      await writeFile(join(folder, `${name}.part`), `Envelope-To: ${to}\r\n${Buffer.concat(chunks)}`);
      await rename(join(folder, `${name}.part`), join(folder, `${name}.eml`));
      done();
    });
  },
});

server.on("error", () => writeFile(join(folder, "broken"), ""));
server.listen(0, "127.0.0.1", () => console.log(`smtp listening on ${server.server.address().port}`));
