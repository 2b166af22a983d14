// State shared by the tools: the current code, the picked image, the selected points, and the map.

import { $, number, say } from "./dom.js";
import { paint } from "./images.js";
import { Labels } from "./labels.js";
import { MapView } from "./map.js";
import { newest, State } from "./state.js";
import { Thumbnails } from "./thumbnails.js";

const MARKED = 600; // rings of a selection; of more points, an evenly spaced subset
const NEAR = 8; // points to interpolate between on a nonlinear plane

// `code` is shown when the pointer is not on the map: that of the picked image, or of the sliders.
export class Page {
  constructor(source) {
    this.source = source;
    this.run = source.run;
    this.shape = this.run.image_shape;
    this.labels = new Labels(source);
    this.state = new State({
      code: Float32Array.from(this.run.mean),
      picked: null, // a point
      selection: [], // points to label
      klass: this.run.told ? 0 : null, // class for a conditional decoder
      visible: new Uint8Array(this.run.n_points).fill(1),
      drawn: null, // the code of a drawing
      near: [],
      plane: null,
      shown: null, // the code of the large picture
      tool: "look",
    });
    const told = {
      hover: (place, point, at) => this.hover(place, point, at),
      press: () => ($("hover").hidden = true),
      leave: () => this.leave(),
      click: (place, point, adds) => this.click(place, point, adds),
      lasso: (points, adds) => this.enclose(points, adds),
    };
    const renderer = new URLSearchParams(location.search).get("points");
    this.map = new MapView($("plot"), $("points"), $("overlay"), told, renderer ?? "");
    this.map.thumbnails = new Thumbnails(this.map, source, this.shape);
    this.showDecoded = newest((code, words) => this.#decoded(code, words));
    this.showHover = newest((point, at) => this.#hovered(point, at));
  }

  // Codes and places -----------------------------------------------------------------------------

  // The code at a position on the map.
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

  // On a nonlinear plane: codes of nearby points, weighted by inverse squared distance.
  async #codeAmong(place) {
    const near = this.map.nearest(place, NEAR, Infinity);
    const codes = await this.source.codes(near.map(({ point }) => point));
    const mixed = new Float32Array(this.run.latent_dim);
    const weights = near.map(({ distance }) => 1 / (distance * distance + 1e-9));
    const total = weights.reduce((a, b) => a + b, 0);
    codes.forEach((code, n) => code.forEach((value, k) => (mixed[k] += (weights[n] / total) * value)));
    return mixed;
  }

  // The position of a code on the map; null on a nonlinear plane.
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

  // Points that the legend's filter leaves.
  shown() {
    const visible = this.state.get("visible");
    return Array.from(visible.keys()).filter((point) => visible[point]);
  }

  enclose(points, adds) {
    this.state.set("near", []);
    this.select(points, adds);
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

  // The class of a point, as the learned prior counts them; null if it knows no such class.
  flowClass(point) {
    const klass = (this.run.flow.classes ?? []).indexOf(this.labels.of(point) || this.ownName(point));
    return klass < 0 ? null : klass;
  }

  // Marks on the map -----------------------------------------------------------------------------

  mark() {
    const selection = this.state.get("selection");
    const step = Math.ceil(selection.length / MARKED);
    const marked = selection.length > 1 ? selection.filter((_, place) => place % step === 0) : [];
    const made = marked.map((point) => ({ point, kind: "selected" }));
    made.push(...this.state.get("near").map((point) => ({ point, kind: "near" })));
    const place = this.placeOf(this.state.get("code"));
    if (this.state.get("picked") !== null) made.push({ point: this.state.get("picked"), kind: "picked" });
    else if (place) made.push({ place, kind: "picked" });
    const drawn = this.state.get("drawn") && this.placeOf(this.state.get("drawn"));
    if (drawn) made.push({ place: drawn, kind: "drawn" });
    this.map.setMarks(made);
  }
}

export function failed(error) {
  say(error.message);
  return [];
}
