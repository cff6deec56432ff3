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
