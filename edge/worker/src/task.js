// Goes on with the module's work when what it waits for has ended.

// What goes on with the work that is going on now.
let going;

// What goes on with work that waits for other work, by its name.
const waiting = new Map();

export function run(poll, later) {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const go = () => {
      if (isOver) return;
      const before = going;
      going = go;
      try {
        const end = poll();
        isOver = end !== undefined;
        if (isOver) resolve(end);
      } catch (error) {
        isOver = true;
        reject(error);
        // Nobody may be waiting for it, and the module has to be made anew.
        if (error instanceof WebAssembly.RuntimeError) reportError(error);
      } finally {
        going = before;
      }
    };
    if (later) Promise.resolve().then(go);
    else go();
  });
}

export function expect(name, is) {
  if (is) waiting.set(name, going);
  else waiting.delete(name);
}

export function begin() {
  waiting.clear();
}

export function wake(name) {
  const go = waiting.get(name);
  if (waiting.delete(name)) Promise.resolve().then(go);
}

export function keep(promise) {
  const kept = { is: 0 };
  const end = (is) => (value) => {
    kept.is = is;
    kept.value = value;
    kept.go?.();
  };
  promise.then(end(1), end(2));
  return kept;
}

export function look(kept) {
  if (kept.is === 0) kept.go = going;
  return kept.is;
}

// For the test that work which has ended leaves nothing here.
export function expected() {
  return waiting.size;
}
