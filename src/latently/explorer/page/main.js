// The page: opens the run, draws the map, and gives each tool what it needs.

import { colourOf, css, onSchemeChange } from "./colours.js";
import { $, element, number, say } from "./dom.js";
import { open } from "./open.js";
import { blank, paint } from "./images.js";
import { Labels } from "./labels.js";
import { MapView } from "./map.js";
import { newest, State } from "./state.js";
import { between } from "./tool-between.js";
import { classes } from "./tool-classes.js";
import { labelling } from "./tool-label.js";
import { look } from "./tool-look.js";
import { noise } from "./tool-noise.js";
import { pad } from "./tool-pad.js";
import { sliders } from "./tool-sliders.js";

const NEAR = 8; // points that share a place on a curved plane

// What the tools share. `code` is what the page shows when the pointer is elsewhere: a picked image's, or the sliders'.
class Page {
  constructor(source) {
    this.source = source;
    this.run = source.run;
    this.shape = this.run.image_shape;
    this.labels = new Labels(source);
    this.state = new State({
      code: Float32Array.from(this.run.mean),
      picked: null, // a point
      selection: [], // points that are to be labelled
      klass: this.run.told ? 0 : null, // what a conditional decoder is told
      visible: new Uint8Array(this.run.n_points).fill(1),
      drawn: null, // the code of a drawing
      near: [],
      plane: null,
      shown: null, // the code that the large picture shows
      tool: "look",
    });
    const told = {
      hover: (place, point, at) => this.hover(place, point, at),
      leave: () => this.leave(),
      click: (place, point, adds) => this.click(place, point, adds),
      lasso: (points, adds) => this.select(points, adds),
    };
    const plain = new URLSearchParams(location.search).get("points") === "canvas";
    this.map = new MapView($("plot"), $("points"), $("overlay"), told, plain);
    this.showDecoded = newest((code, words) => this.#decoded(code, words));
    this.showHover = newest((point, at) => this.#hovered(point, at));
  }

  // Codes and places -----------------------------------------------------------------------------

  // The code at a place of the map.
  async codeAt(place) {
    const { frame, name } = this.state.get("plane");
    const width = this.run.latent_dim;
    if (!frame) return this.#codeAmong(place);
    const code = name === "dimensions" ? this.state.get("code").slice() : frame.slice(0, width);
    const [i, j] = this.state.get("plane").axes;
    if (name === "dimensions") {
      code[i] = place[0];
      code[j] = place[1];
      return code;
    }
    for (let k = 0; k < width; k++) code[k] += place[0] * frame[width + k] + place[1] * frame[2 * width + k];
    return code;
  }

  // On a curved plane: the codes of the points around a place, the nearer the heavier.
  async #codeAmong(place) {
    const near = this.map.nearest(place, NEAR, Infinity);
    const codes = await this.source.codes(near.map(({ point }) => point));
    const mixed = new Float32Array(this.run.latent_dim);
    const weights = near.map(({ distance }) => 1 / (distance * distance + 1e-9));
    const total = weights.reduce((a, b) => a + b, 0);
    codes.forEach((code, n) => code.forEach((value, k) => (mixed[k] += (weights[n] / total) * value)));
    return mixed;
  }

  // The place of a code on the map; null where the plane is curved.
  placeOf(code) {
    const { frame } = this.state.get("plane") ?? {};
    if (!frame) return null;
    const width = code.length;
    const place = [0, 0];
    for (let k = 0; k < width; k++) {
      const away = code[k] - frame[k];
      place[0] += away * frame[width + k];
      place[1] += away * frame[2 * width + k];
    }
    return place;
  }

  decode(codes) {
    const klass = this.state.get("klass");
    return this.source.decode(codes, klass === null ? null : [klass]);
  }

  async #decoded(code, words) {
    const [pixels] = await this.decode([code]).catch(failed);
    if (!pixels) return;
    paint($("decoded"), pixels, this.shape);
    $("decoded-caption").textContent = words;
    this.state.set("shown", code);
  }

  // Pointing -------------------------------------------------------------------------------------

  async hover(place, point, at) {
    if (!this.state.get("plane")) return;
    this.showDecoded(await this.codeAt(place), `Decoded at ${number(place[0])}, ${number(place[1])}`);
    this.showHover(point, at);
  }

  leave() {
    $("hover").hidden = true;
    this.showHover(null, null);
    this.showDecoded(this.state.get("code"), this.state.get("codeWords") ?? "Decoded from the mean code");
  }

  async #hovered(point, at) {
    const card = $("hover");
    card.hidden = point === null;
    if (point === null) return;
    const [pixels] = await this.source.images([point]).catch(failed);
    if (!pixels) return;
    paint(card.querySelector("canvas"), pixels, this.shape);
    card.querySelector("span").textContent = this.nameOf(point);
    card.dataset.point = point;
    const { clientWidth: width, clientHeight: height } = $("plot");
    card.style.left = `${at[0] > width - 150 ? at[0] - 118 : at[0] + 18}px`;
    card.style.top = `${at[1] > height - 150 ? at[1] - 140 : at[1] + 18}px`;
  }

  async click(place, point, adds) {
    if (point === null) {
      this.state.set("picked", null);
      this.state.set("selection", []);
      return this.setCode(await this.codeAt(place), `Decoded at ${number(place[0])}, ${number(place[1])}`);
    }
    this.select([point], adds);
    await this.pick(point);
  }

  async pick(point) {
    this.state.set("picked", point);
    const [[pixels], [code]] = await Promise.all([this.source.images([point]), this.source.codes([point])]);
    paint($("picked"), pixels, this.shape);
    $("picked-caption").textContent = this.nameOf(point);
    const label = this.run.told?.indexOf(this.colouring.nameOf(point)) ?? -1;
    if (label >= 0) this.state.set("klass", label);
    this.setCode(code.slice(), `Decoded from ${this.nameOf(point)}`);
    const { points } = await this.source.neighbours(code, 13);
    this.state.set("near", points.filter((each) => each !== point).slice(0, 12));
  }

  select(points, adds = false) {
    this.state.set("selection", adds ? [...new Set([...this.state.get("selection"), ...points])] : points);
  }

  setCode(code, words) {
    this.state.set("codeWords", words);
    this.state.set("code", code);
    this.showDecoded(code, words);
  }

  nameOf(point) {
    const given = this.names ? this.names[point] : String(point);
    const name = /^\d+$/.test(given) ? `image ${given}` : given;
    const label = this.labels.of(point) || this.ownName(point);
    const predicted = this.colouring.predictedName(point);
    return [name, label && `label ${label}`, predicted && `predicted ${predicted}`].filter(Boolean).join(" · ");
  }

  ownName(point) {
    const klass = this.own?.[point] ?? -1;
    return klass < 0 ? "" : this.run.classes[klass];
  }

  // Marks on the map -----------------------------------------------------------------------------

  mark() {
    const marks = this.state.get("selection").length > 1 ? this.state.get("selection").slice(0, 3000) : [];
    const made = marks.map((point) => ({ point, kind: "selected" }));
    made.push(...this.state.get("near").map((point) => ({ point, kind: "near" })));
    const place = this.placeOf(this.state.get("code"));
    if (this.state.get("picked") !== null) made.push({ point: this.state.get("picked"), kind: "picked" });
    else if (place) made.push({ place, kind: "picked" });
    const drawn = this.state.get("drawn") && this.placeOf(this.state.get("drawn"));
    if (drawn) made.push({ place: drawn, kind: "drawn" });
    this.map.setMarks(made);
  }
}

function failed(error) {
  say(error.message);
  return [];
}

// Colours, legend and filter -----------------------------------------------------------------------

class Colouring {
  constructor(page) {
    this.page = page;
    this.by = "label";
    this.only = new Set();
    const choices = [["label", "label"]];
    if (page.run.predicts) choices.push(["prediction", "prediction"]);
    choices.push(["yours", "your labels"], ["none", "nothing"]);
    for (const [value, words] of choices) $("colouring").append(element("option", { value }, words));
    $("colouring").addEventListener("change", () => this.choose($("colouring").value));
    onSchemeChange(() => this.apply());
  }

  async choose(by) {
    this.by = by;
    this.only.clear();
    if (by === "prediction" && !this.predicted) {
      say("Classifying every image …");
      this.predicted = await this.page.source.predicted().catch(failed);
      say("");
    }
    this.apply();
  }

  predictedName(point) {
    return this.predicted?.length ? this.page.run.predicts[this.predicted[point]] : "";
  }

  // What a point counts as under the chosen colouring; empty for none.
  nameOf(point, by = this.by) {
    if (by === "prediction") return this.predictedName(point);
    if (by === "none") return "";
    return this.page.labels.of(point) || (by === "label" ? this.page.ownName(point) : "");
  }

  apply() {
    const { page } = this;
    const n = page.run.n_points;
    const names = Array.from({ length: n }, (_, point) => this.nameOf(point));
    const counts = new Map([...page.run.classes, ...(page.run.predicts ?? [])].map((name) => [name, 0]));
    for (const name of names) if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
    this.order = new Map([...counts.keys()].map((name, place) => [name, place]));
    const colours = [...this.order.values(), -1].map(colourOf);
    const none = colours.length - 1;
    const classes = Uint16Array.from(names, (name) => (name ? this.order.get(name) : none));
    page.map.setColours(classes, colours);
    const unlabelled = names.filter((name) => !name).length;
    const shown = [...counts].filter(([, count]) => count > 0);
    if (unlabelled && this.by !== "none") shown.push(["", unlabelled]);
    this.#legend(shown);
    const visible = Uint8Array.from(names, (name) => (!this.only.size || this.only.has(name) ? 1 : 0));
    page.map.setVisible(visible);
    page.state.set("visible", visible);
  }

  colour(name) {
    return css(colourOf(name ? (this.order.get(name) ?? -1) : -1));
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
    if (focused !== undefined) $("legend").querySelector(`[data-class="${CSS.escape(focused)}"]`)?.focus();
  }

  #toggle(name) {
    if (!this.only.delete(name)) this.only.add(name);
    this.apply();
  }
}

// Planes -------------------------------------------------------------------------------------------

async function setUpPlanes(page) {
  const { run } = page;
  for (const { name, title } of run.planes) $("plane").append(element("option", { value: name }, title));
  const axes = run.dimensions.slice(0, 100).map(({ index }) => index);
  for (const select of [$("axis-x"), $("axis-y")]) {
    for (const index of axes) select.append(element("option", { value: index }, `${index}`));
    select.addEventListener("change", show);
  }
  $("axis-y").selectedIndex = Math.min(1, axes.length - 1);
  $("plane").addEventListener("change", show);

  async function show() {
    const name = $("plane").value;
    $("axes").hidden = name !== "dimensions";
    const chosen = name === "dimensions" ? [Number($("axis-x").value), Number($("axis-y").value)] : [0, 1];
    const words = name === "umap" ? "UMAP takes a minute or two for many points …" : "Reading the codes …";
    $("waiting").textContent = words;
    $("waiting").hidden = false;
    try {
      const plane = await page.source.plane(name, ...chosen);
      page.state.set("plane", { ...plane, name, axes: chosen });
      page.map.setPositions(plane.positions);
      page.mark();
    } catch (error) {
      say(error.message);
    }
    $("waiting").hidden = true;
  }
  await show();
}

// Tools --------------------------------------------------------------------------------------------

function setUpTools(page) {
  const tools = { look, sliders, between, classes, noise, pad, label: labelling };
  const titles = {
    look: "Look",
    sliders: "Sliders",
    between: "Between",
    classes: "Classes",
    noise: "Noise",
    pad: "Draw",
    label: "Label",
  };
  const made = Object.entries(tools)
    .map(([name, tool]) => [name, tool(page)])
    .filter(([, panel]) => panel);
  const tabs = made.map(([name, panel]) => {
    panel.id = `panel-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    $("panels").append(panel);
    const attributes = { type: "button", id: `tab-${name}`, role: "tab", "aria-controls": panel.id };
    return element("button", { ...attributes, onclick: () => choose(name) }, titles[name]);
  });
  $("tabs").append(...tabs);
  $("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const place = tabs.indexOf(document.activeElement);
    const next = tabs[(place + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });

  function choose(name) {
    made.forEach(([each, panel], place) => {
      panel.hidden = each !== name;
      tabs[place].setAttribute("aria-selected", String(each === name));
      tabs[place].tabIndex = each === name ? 0 : -1;
    });
    page.state.set("tool", name);
  }
  choose("look");
}

function setUpModes(page) {
  for (const mode of ["move", "lasso"]) {
    $(`mode-${mode}`).addEventListener("click", () => {
      page.map.mode = mode;
      for (const each of ["move", "lasso"]) $(`mode-${each}`).setAttribute("aria-pressed", String(each === mode));
      $("overlay").classList.toggle("lasso", mode === "lasso");
    });
  }
  $("fit").addEventListener("click", () => page.map.fit());
}

async function start() {
  const source = await open();
  const { run } = source;
  document.title = `${run.title} · latently explorer`;
  $("title").textContent = run.title;
  $("facts").append(...run.facts.map((fact) => element("li", {}, fact)));
  blank($("decoded"), run.image_shape);
  blank($("picked"), run.image_shape);
  const page = new Page(source);
  page.colouring = new Colouring(page);
  [page.own, page.names] = await Promise.all([source.ownLabels(), source.names()]);
  await page.labels.load();
  setUpModes(page);
  page.colouring.apply();
  await setUpPlanes(page);
  setUpTools(page);
  page.labels.onChange(() => page.colouring.apply());
  for (const name of ["picked", "near", "selection", "code", "drawn"]) page.state.on(name, () => page.mark());
  page.state.on("klass", () => page.showDecoded(page.state.get("code"), page.state.get("codeWords")));
  page.leave();
  window.explorer = page; // for those who open the console
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  $("waiting").textContent = error.message;
  say(error.message);
});
