// Colours of the points, the legend, and the filter by class.

import { colourOf, css, onSchemeChange } from "./colours.js";
import { $, element, say } from "./dom.js";
import { failed } from "./page.js";

const BANDS = [
  [0.01, "1 % oddest"],
  [0.05, "5 % oddest"],
  [0.2, "20 % oddest"],
  [1, "the others"],
];

export class Colouring {
  constructor(page) {
    this.page = page;
    this.by = "label";
    this.only = new Set();
    this.slots = new Map(); // name -> index of its colour, fixed while the page is open
    for (const name of [...page.run.classes, ...(page.run.predicts ?? [])]) this.#slot(name);
    const choices = [["label", "label"]];
    if (page.run.predicts) choices.push(["prediction", "prediction"]);
    if (page.run.grouped) choices.push(["group", "group"]);
    if (!page.run.static) choices.push(["odd", "how odd"]);
    choices.push(["yours", "your labels"], ["none", "nothing"]);
    for (const [value, words] of choices) $("colouring").append(element("option", { value }, words));
    $("colouring").addEventListener("change", () => this.choose($("colouring").value));
    onSchemeChange(() => this.apply());
  }

  async choose(by) {
    this.by = by;
    this.only.clear();
    if (by === "prediction" && !this.predicted) {
      say("Classifying every image …", true);
      this.predicted = await this.page.source.predicted().catch(failed);
      say("");
    }
    if (by === "group") this.groups ??= await this.page.source.groups().catch(failed);
    if (by === "odd" && !this.bands) {
      say("Scoring every image …", true);
      this.bands = bandsOf(await this.page.source.scores().catch(failed));
      say("");
    }
    this.apply();
  }

  predictedName(point) {
    return this.predicted?.length ? this.page.run.predicts[this.predicted[point]] : "";
  }

  // Class of a point in the chosen colouring; empty for none.
  nameOf(point, by = this.by) {
    if (by === "prediction") return this.predictedName(point);
    if (by === "none") return "";
    if (by === "group") return this.groups?.[point] ?? "";
    if (by === "odd") return this.bands?.[point] ?? "";
    return this.page.labels.of(point) || (by === "label" ? this.page.ownName(point) : "");
  }

  apply() {
    const { page } = this;
    const n = page.run.n_points;
    const names = Array.from({ length: n }, (_, point) => this.nameOf(point));
    const counts = new Map();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    const present = [...counts.keys()].filter(Boolean).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    for (const name of present) this.#slot(name);
    const none = Math.max(-1, ...this.slots.values()) + 1;
    const colours = Array.from({ length: none }, (_, slot) => colourOf(slot));
    const classes = Uint16Array.from(names, (name) => (name ? this.slots.get(name) : none));
    page.map.setColours(classes, [...colours, colourOf(-1)]);
    const shown = present.map((name) => [name, counts.get(name)]);
    const unlabelled = counts.get("") ?? 0;
    if (unlabelled && this.by !== "none") shown.push(["", unlabelled]);
    this.#legend(shown);
    const visible = Uint8Array.from(names, (name) => (!this.only.size || this.only.has(name) ? 1 : 0));
    page.map.setVisible(visible);
    page.state.set("visible", visible);
  }

  colour(name) {
    return css(colourOf(this.slots.get(name) ?? -1));
  }

  // A digit gets its own colour index if it is free, so that a 7 looks the same in all runs; others get the first free.
  #slot(name) {
    if (this.slots.has(name)) return;
    const taken = new Set(this.slots.values());
    let slot = /^\d$/.test(name) && !taken.has(Number(name)) ? Number(name) : 0;
    while (taken.has(slot)) slot++;
    this.slots.set(name, slot);
  }

  #legend(counts) {
    const chips = counts.map(([name, count]) => {
      const dot = element("i", { className: "dot" });
      dot.style.background = this.colour(name);
      const words = [dot, name || "no label", element("small", {}, count.toLocaleString("en"))];
      const onclick = () => this.#toggle(name);
      const pressed = String(this.only.has(name));
      const attributes = { type: "button", className: "chip", "aria-pressed": pressed, "data-class": name, onclick };
      return element("li", {}, element("button", attributes, ...words));
    });
    const focused = document.activeElement?.dataset?.class;
    $("legend").replaceChildren(...(this.by === "none" ? [] : chips));
    if (focused !== undefined)
      $("legend")
        .querySelector(`[data-class="${CSS.escape(focused)}"]`)
        ?.focus();
  }

  #toggle(name) {
    if (!this.only.delete(name)) this.only.add(name);
    this.apply();
  }
}

// The band of each point by the rank of its score, the lowest first.
function bandsOf(scores) {
  const order = Array.from(scores.keys()).sort((a, b) => scores[a] - scores[b]);
  const bands = [];
  order.forEach((point, rank) => {
    bands[point] = BANDS.find(([share]) => rank < share * order.length)[1];
  });
  return bands;
}
