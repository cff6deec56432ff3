// What costs less in one call than in many, and what only JavaScript can do with a stream.

// The parts of a request that decide how it is answered, a line each: method, URL, then a line for each of `names`,
// empty when the field is absent and with a mark before the value when it is there.
export function head(request, names) {
  let head = `${request.method}\n${request.url}`;
  const fields = request.headers;
  for (const name of names) {
    const value = fields.get(name);
    head += value === null ? "\n" : `\n=${value}`;
  }
  return head;
}

// Numbers that nobody has had. The runtime gives many at a time, because each call to it costs more than making them.
const numbers = new BigUint64Array(64);
let numbersLeft = 0;

export function random() {
  if (numbersLeft === 0) {
    crypto.getRandomValues(numbers);
    numbersLeft = numbers.length;
  }
  numbersLeft -= 1;
  return numbers[numbersLeft];
}

// The point of presence that this isolate is in, as its first request says.
let colo;

export function learnPlace(request) {
  colo ??= request.cf?.colo ?? "";
}

export function place() {
  return colo ?? "";
}

// All bytes of a stream, or null when there are more than `most`.
export async function collect(stream, most) {
  const parts = [];
  let length = 0;
  for await (const part of stream) {
    length += part.byteLength;
    if (length > most) return null;
    parts.push(part);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

// The bytes of a stream from `first` on, `length` of them.
export function cut(stream, first, length) {
  let skip = first;
  let left = length;
  const cutter = new TransformStream({
    transform(part, out) {
      const from = Math.min(skip, part.byteLength);
      skip -= from;
      const kept = part.subarray(from, from + left);
      left -= kept.byteLength;
      if (kept.byteLength > 0) out.enqueue(kept);
      if (left === 0) out.terminate();
    },
  });
  return stream.pipeThrough(cutter).pipeThrough(new FixedLengthStream(length));
}

// One body and then another. A stream of JavaScript's own: workerd pipes none of its transform streams into another one.
export function join(first, next) {
  const parts = async function* () {
    for (const body of [first, next]) yield* new Response(body).body;
  };
  return ReadableStream.from(parts());
}

// All fields of a `Headers`: a line for each name, in lower case, and one for its value. Values have no line breaks.
export function fields(headers) {
  let text = "";
  headers.forEach((value, name) => {
    text += `${name}\n${value}\n`;
  });
  return text;
}

// Those of a response, if it is one.
export function fieldsOf(response) {
  return response && fields(response.headers);
}

// The Cache API of this place.
export function findStored(url) {
  return caches.default.match(url);
}

export function store(url, entry) {
  return caches.default.put(url, entry);
}

export function removeStored(url) {
  return caches.default.delete(url);
}

// The `Headers` of such a text. What is refused is left out.
export function headers(text) {
  const made = new Headers();
  const lines = text.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) {
    try {
      made.append(lines[at], lines[at + 1]);
    } catch {}
  }
  return made;
}

// Calls the origin; null when no header of the answer came in time. What is left of the answer may take its time.
export async function call(url, method, text, body, deadlineMs) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), deadlineMs);
  try {
    return await fetch(url, {
      method,
      headers: headers(text),
      body,
      // Left to the client.
      redirect: "manual",
      // The platform's own cache would stand between the edge and the origin, and keep what nobody here can purge.
      cache: "no-store",
      signal: abort.signal,
      // The bytes as the origin sent them: the runtime would decode an encoded body.
      encodeResponseBody: "manual",
    });
  } catch (error) {
    if (abort.signal.aborted) return null;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// Posts a text: a line with the status and then the text of the answer, or null when there was no answer in time. Of an
// answer that is longer than `most` there is no text.
export async function post(url, text, body, most, deadlineMs) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), deadlineMs);
  try {
    const response = await fetch(url, { method: "POST", headers: headers(text), body, signal: abort.signal });
    // Never more than that in memory, whatever length it says or does not say.
    const bytes = response.body && (await collect(response.body, most));
    return `${response.status}\n${bytes ? new TextDecoder().decode(bytes) : ""}`;
  } catch (error) {
    if (abort.signal.aborted) return null;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// Asks a Durable Object; null when there was no answer in time.
export async function ask(namespace, name, question, deadlineMs) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, deadlineMs, null);
  });
  try {
    return await Promise.race([asked(namespace.getByName(name), question), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function asked(object, question) {
  // Any address leads to it.
  const response = await object.fetch("https://object.seawall.internal/", { method: "POST", body: question });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`answered ${response.status}: ${text}`);
  return text;
}

// Ends after `ms`, or earlier when the function is called that `take` is given.
export function pause(ms, take) {
  let timer;
  const ended = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
    take(resolve);
  });
  return ended.finally(() => clearTimeout(timer));
}

export function reason(error) {
  return error instanceof Error ? error.message : String(error);
}

// An answer. A body that is encoded already stays so.
export function answer(status, text, body) {
  const fields = headers(text);
  return new Response(body, { status, headers: fields, encodeBody: fields.has("content-encoding") ? "manual" : "automatic" });
}
