// Shared state of the page, with change listeners.

export class State {
  #values = {};
  #listeners = new Map();

  constructor(values) {
    this.#values = { ...values };
  }

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    this.#values[name] = value;
    for (const listener of this.#listeners.get(name) ?? []) listener(value);
  }

  on(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }
}

// Runs only the newest request: while one runs, later requests replace each other, and the last one runs next.
export function newest(work) {
  let running = false;
  let waiting = null;
  return async function ask(...words) {
    if (running) {
      waiting = words;
      return;
    }
    running = true;
    try {
      await work(...words);
    } finally {
      running = false;
    }
    if (waiting) {
      const next = waiting;
      waiting = null;
      ask(...next);
    }
  };
}
