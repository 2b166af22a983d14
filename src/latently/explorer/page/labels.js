// The labels given on this page: loaded from and saved to the source, with undo.

const LOOKS_EVERY = 3000; // milliseconds: labels from other tabs

export class Labels {
  #names = new Map();
  #undo = [];
  #listeners = [];

  constructor(source) {
    this.source = source;
    this.revision = -1;
    setInterval(() => document.visibilityState === "visible" && this.load().catch(() => {}), LOOKS_EVERY);
  }

  onChange(listener) {
    this.#listeners.push(listener);
  }

  of(point) {
    return this.#names.get(point) ?? "";
  }

  get count() {
    return this.#names.size;
  }

  // [[name, how many], ...]
  get counts() {
    const counts = new Map();
    for (const name of this.#names.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  async load() {
    this.#take(await this.source.labels());
  }

  // An empty label removes labels.
  async set(points, label) {
    const answer = await this.source.changeLabels([{ label, points }]);
    this.#undo.push(answer.before);
    this.#take(answer);
  }

  // -> the points whose labels were restored
  async undo() {
    const before = this.#undo.pop() ?? [];
    if (before.length) this.#take(await this.source.changeLabels(before));
    return before.flatMap(({ points }) => points);
  }

  async import(file) {
    const answer = await this.source.importLabels(file);
    this.#undo.push(answer.before);
    this.#take(answer);
  }

  #take({ revision, labels }) {
    if (revision === this.revision) return;
    this.revision = revision;
    this.#names = new Map(labels.flatMap(({ label, points }) => points.map((point) => [point, label])));
    for (const listener of this.#listeners) listener();
  }
}
