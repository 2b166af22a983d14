// The map: the view, and its control by pointer, touch and keys. Points are drawn by a renderer.

import { CanvasPoints } from "./points-canvas.js";
import { WebglPoints } from "./points-webgl.js";
import { Grid } from "./grid.js";
import { drawOverlay } from "./overlay.js";

const FITTED = 10000; // points used to fit the view; of more, an evenly spaced subset
const REACH = 14; // pixels: radius in which the pointer finds a point
const STILL = 5; // pixels: largest movement during a click
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class MapView {
  // told: {hover(place, point, at), press(), leave(), click(place, point, adds), lasso(points, adds)}; place [x, y] in the plane
  // renderer: "webgl" or "canvas"; empty: the faster one
  constructor(plot, canvas, overlay, told, renderer = "") {
    Object.assign(this, { plot, overlay, told, mode: "move", marks: [], axes: null });
    this.view = { x: 0, y: 0, scale: 1 }; // centre of the plot, and pixels per unit
    this.pointers = new Map();
    const webgl = renderer === "canvas" ? null : WebglPoints.on(canvas, renderer === "webgl");
    this.points = webgl ?? new CanvasPoints(canvas);
    canvas.addEventListener("webglcontextlost", () => this.#fallBack(canvas));
    this.#listen();
    new ResizeObserver(() => this.#resized()).observe(plot);
  }

  #fallBack(canvas) {
    const fresh = canvas.cloneNode();
    canvas.replaceWith(fresh);
    this.points = new CanvasPoints(fresh);
    this.points.setPositions(this.positions);
    this.points.setColours(this.classes, this.colours);
    this.points.setVisible(this.visible);
    this.#resized();
  }

  // What is shown --------------------------------------------------------------------------------

  // axes: names of x and y, null for an axis without a name; null if the coordinates have no meaning
  setPositions(positions, axes = null) {
    Object.assign(this, { positions, axes });
    this.grid = new Grid(positions);
    this.visible ??= new Uint8Array(positions.length / 2).fill(1);
    this.points.setPositions(positions);
    this.fit();
  }

  setColours(classes, colours) {
    Object.assign(this, { classes, colours });
    this.points.setColours(classes, colours);
    this.draw();
  }

  setVisible(visible) {
    this.visible = visible;
    this.points.setVisible(visible);
    this.draw();
  }

  // marks: [{point} or {place}, kind: "picked" | "near" | "selected" | "drawn"}]
  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  fit() {
    const { positions, plot } = this;
    const n = positions.length / 2;
    const step = Math.ceil(n / FITTED);
    const [x, y] = [0, 1].map((axis) => {
      const values = Float32Array.from(
        { length: Math.ceil(n / step) },
        (_, i) => positions[2 * step * i + axis],
      ).sort();
      const at = (share) => values[Math.round(share * (values.length - 1))];
      return [at(0.0005), at(0.9995)];
    });
    const [width, height] = [plot.clientWidth || 1, plot.clientHeight || 1];
    const scale = 0.92 * Math.min(width / (x[1] - x[0] || 1), height / (y[1] - y[0] || 1));
    this.view = { x: (x[0] + x[1]) / 2, y: (y[0] + y[1]) / 2, scale };
    this.fitted = scale;
    this.draw();
  }

  zoom(factor, px = this.plot.clientWidth / 2, py = this.plot.clientHeight / 2) {
    const [x, y] = this.placeAt(px, py);
    const scale = Math.min(Math.max(this.view.scale * factor, this.fitted / 4), this.fitted * 2000);
    this.view.scale = scale;
    const [nx, ny] = this.placeAt(px, py);
    this.view.x += x - nx;
    this.view.y += y - ny;
    this.draw();
  }

  placeAt(px, py) {
    const { x, y, scale } = this.view;
    return [x + (px - this.plot.clientWidth / 2) / scale, y - (py - this.plot.clientHeight / 2) / scale];
  }

  pixelAt([x, y]) {
    const { view, plot } = this;
    return [plot.clientWidth / 2 + (x - view.x) * view.scale, plot.clientHeight / 2 - (y - view.y) * view.scale];
  }

  placeOf(point) {
    return [this.positions[2 * point], this.positions[2 * point + 1]];
  }

  nearest(place, n = 1, reach = REACH / this.view.scale) {
    return this.grid ? this.grid.nearest(...place, n, reach, this.visible) : [];
  }

  // Drawing --------------------------------------------------------------------------------------

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      if (!this.positions || !this.classes) return;
      const [left, top] = this.placeAt(0, 0);
      const [right, bottom] = this.placeAt(this.plot.clientWidth, this.plot.clientHeight);
      this.points.draw({ left, right, bottom, top }, this.#diameter());
      drawOverlay(this);
      if (!this.hasDrawn) performance.mark("first map"); // in the browser's performance timeline
      this.hasDrawn = true;
      this.drawn?.();
    });
  }

  #diameter() {
    const n = this.positions.length / 2;
    const base = n > 20000 ? 2.6 : n > 3000 ? 4 : 6.5;
    const zoomed = Math.max(1, this.view.scale / this.fitted) ** 0.4;
    return Math.min(base * zoomed, 14) * devicePixelRatio;
  }

  #resized() {
    for (const canvas of [this.points.canvas, this.overlay]) {
      canvas.width = Math.round(this.plot.clientWidth * devicePixelRatio);
      canvas.height = Math.round(this.plot.clientHeight * devicePixelRatio);
    }
    this.draw();
  }

  // Pointer, fingers, keys -----------------------------------------------------------------------

  #listen() {
    const { overlay } = this;
    overlay.addEventListener("pointerdown", (event) => this.#down(event));
    overlay.addEventListener("pointermove", (event) => this.#move(event));
    overlay.addEventListener("pointerup", (event) => this.#up(event));
    overlay.addEventListener("pointercancel", (event) => this.#up(event, true));
    overlay.addEventListener("pointerleave", () => this.told.leave());
    overlay.addEventListener("keydown", (event) => this.#key(event));
    overlay.addEventListener("focus", () => this.draw());
    overlay.addEventListener("blur", () => this.draw());
    overlay.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const step = event.deltaMode === 1 ? 20 : 1;
        this.zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * step)) / 300), event.offsetX, event.offsetY);
      },
      { passive: false },
    );
  }

  #down(event) {
    this.overlay.setPointerCapture(event.pointerId);
    this.told.press();
    const at = [event.offsetX, event.offsetY];
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 1) {
      this.start = at;
      this.moved = this.pinched = false;
      const lassoes = (this.mode === "lasso") !== event.shiftKey;
      this.lasso = lassoes ? [at] : null;
      this.adds = event.ctrlKey || event.metaKey;
      if (this.#pointing()) this.#hover(at, false);
    } else {
      this.lasso = null; // a second finger zooms
      this.moved = this.pinched = true;
    }
  }

  #move(event) {
    const at = [event.offsetX, event.offsetY];
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.#hover(at);
      return;
    }
    if (Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) > STILL) this.moved = true;
    if (this.pointers.size === 2) this.#pinch(event.pointerId, before, at);
    else if (this.lasso) this.lasso.push(at);
    else if (this.#pointing()) this.#hover(at, false);
    else if (this.moved) {
      this.view.x -= (at[0] - before[0]) / this.view.scale;
      this.view.y += (at[1] - before[1]) / this.view.scale;
    }
    this.pointers.set(event.pointerId, at);
    this.draw();
  }

  #pinch(id, before, at) {
    const [other] = [...this.pointers].filter(([key]) => key !== id).map(([, place]) => place);
    const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    this.view.x -= (at[0] - before[0]) / 2 / this.view.scale;
    this.view.y += (at[1] - before[1]) / 2 / this.view.scale;
    this.zoom(distance(at, other) / distance(before, other), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
  }

  #up(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
    const lasso = this.lasso;
    this.lasso = null;
    this.draw();
    if (cancelled) return;
    const place = this.placeAt(event.offsetX, event.offsetY);
    if (lasso && this.moved) {
      const polygon = lasso.map(([x, y]) => this.placeAt(x, y));
      this.told.lasso(this.grid.inside(polygon, this.visible), this.adds);
    } else if (!this.moved) this.told.click(place, this.nearest(place)[0]?.point ?? null, this.adds);
    else if (this.#pointing() && !this.pinched) this.told.click(place, null, false); // keep the code at the finger
  }

  // Whether dragging a finger points, like moving a mouse.
  #pointing() {
    return this.mode === "point" && !this.lasso;
  }

  // imaged: whether to show the image of the nearest point; a finger would hide it
  #hover(at, imaged = true) {
    if (!this.grid) return;
    const place = this.placeAt(...at);
    this.told.hover(place, imaged ? (this.nearest(place)[0]?.point ?? null) : null, at);
  }

  #key(event) {
    const step = KEYS[event.key];
    if (step) {
      const { clientWidth: width, clientHeight: height } = this.plot;
      const far = event.shiftKey ? 40 : 10;
      const [x, y] = this.cursor ?? [width / 2, height / 2];
      this.cursor = [Math.min(Math.max(x + far * step[0], 0), width), Math.min(Math.max(y + far * step[1], 0), height)];
      this.#hover(this.cursor);
      this.draw();
    } else if (event.key === "+" || event.key === "=") this.zoom(1.4, ...(this.cursor ?? []));
    else if (event.key === "-") this.zoom(1 / 1.4, ...(this.cursor ?? []));
    else if (event.key === "Home") this.fit();
    else if (event.key === "Enter" || event.key === " ") {
      const place = this.placeAt(...(this.cursor ?? [this.plot.clientWidth / 2, this.plot.clientHeight / 2]));
      this.told.click(place, this.nearest(place, 1, Infinity)[0]?.point ?? null, event.ctrlKey);
    } else return;
    event.preventDefault();
  }
}
