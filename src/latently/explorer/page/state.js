// What all parts of the page share, and who wants to know when it changes.

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

// Work of which only the newest is wanted: one runs, and of those that come meanwhile the last runs next.
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
