// The page without a server: points from files, the network run in the browser, labels in local storage.

import { run as forward } from "./network.js";
import { array, ask, asPlane, size, Source, split } from "./server.js";

export class Files extends Source {
  static async open(run) {
    const [network, weights, codes, images] = await Promise.all([
      ask("api/network.json").then((answer) => answer.json()),
      array("api/network.bin", Float32Array),
      array("api/codes.bin", Float32Array),
      array("api/images.bin", Uint8Array),
    ]);
    return new Files(run, network, weights, split(codes, run.n_points), split(images, run.n_points));
  }

  constructor(run, network, weights, codes, images) {
    super(run);
    Object.assign(this, { network, weights, allCodes: codes, allImages: images });
    const [height, width, channels = 1] = run.image_shape;
    this.tensor = [channels, height, width];
  }

  async plane(name, i, j) {
    if (name !== "dimensions") return asPlane(await array(`api/plane-${name}.bin`, Float32Array), this.run);
    const positions = Float32Array.from({ length: 2 * this.run.n_points }, (_, place) => {
      return this.allCodes[place >> 1][place % 2 ? j : i];
    });
    const width = this.run.latent_dim;
    const frame = new Float32Array(3 * width);
    frame.set(this.run.mean.map((value, k) => (k === i || k === j ? 0 : value)));
    frame[width + i] = frame[2 * width + j] = 1;
    return { positions, frame };
  }

  async images(points) {
    return points.map((point) => this.allImages[point]);
  }

  async codes(points) {
    return points.map((point) => this.allCodes[point]);
  }

  // The model ------------------------------------------------------------------------------------

  async decode(codes, classes = null) {
    return codes.map((code, place) => {
      const klass = classes && classes[classes.length === 1 ? 0 : place];
      const x = forward(this.network.decoder, this.weights, code, [code.length], klass);
      return this.#pixels(x);
    });
  }

  async encode(pixels, klass = null) {
    return this.#encode(this.#seen(pixels), klass);
  }

  #encode(x, klass) {
    return forward(this.network.encoder, this.weights, x, this.tensor, klass).slice();
  }

  async classify(pixels) {
    return forward(this.network.classifier, this.weights, this.#values(pixels), this.tensor);
  }

  async denoise(pixels, level, seed) {
    const damage = DAMAGES[this.run.noise.kind](level, uniforms(seed + 1));
    const clip = (x) => (this.run.noise.unclipped ? x : Math.min(Math.max(x, 0), 1));
    const noisy = this.#values(pixels).map((x) => clip(damage(x)));
    const code = this.#encode(noisy, null);
    const rebuilt = forward(this.network.decoder, this.weights, code, [code.length]);
    return [this.#pixels(noisy), this.#pixels(rebuilt)];
  }

  // Bytes, channels last -> numbers in the model's range, channels first.
  #values(pixels) {
    const { low, high } = this.run.model;
    const [channels, height, width] = this.tensor;
    const area = height * width;
    return Float32Array.from({ length: pixels.length }, (_, place) => {
      const pixel = pixels[(place % area) * channels + Math.floor(place / area)];
      return low + (pixel / 255) * (high - low);
    });
  }

  // Like `values`, thresholded for a model of binarised images; the server samples by the grey value instead.
  #seen(pixels) {
    const x = this.#values(pixels);
    return this.run.model.binarised ? x.map((value) => (value > 0.5 ? 1 : 0)) : x;
  }

  #pixels(x) {
    const { low, high } = this.run.model;
    const [channels, height, width] = this.tensor;
    const pixels = new Uint8Array(x.length);
    x.forEach((value, place) => {
      const share = Math.min(Math.max((value - low) / (high - low), 0), 1);
      pixels[(place % (height * width)) * channels + Math.floor(place / (height * width))] = Math.round(255 * share);
    });
    return pixels;
  }

  async neighbours(code, n) {
    const distances = this.allCodes.map((other) => Math.hypot(...other.map((value, k) => value - code[k])));
    const points = [...distances.keys()].sort((a, b) => distances[a] - distances[b]).slice(0, n);
    return { points, distances: points.map((point) => distances[point]) };
  }

  // Labels ---------------------------------------------------------------------------------------

  get #place() {
    return `latently labels ${this.run.key}`;
  }

  #kept() {
    return JSON.parse(localStorage.getItem(this.#place) ?? "{}");
  }

  #state(kept) {
    const groups = new Map();
    for (const [point, label] of Object.entries(kept)) groups.set(label, [...(groups.get(label) ?? []), Number(point)]);
    const labels = [...groups].map(([label, points]) => ({ label, points }));
    return { revision: JSON.stringify(labels), labels };
  }

  async labels() {
    return this.#state(this.#kept());
  }

  async changeLabels(changes) {
    const kept = this.#kept();
    const before = new Map();
    for (const { label, points } of changes) {
      for (const point of points) {
        const was = kept[point] ?? "";
        before.set(was, [...(before.get(was) ?? []), point]);
        if (label) kept[point] = label;
        else delete kept[point];
      }
    }
    localStorage.setItem(this.#place, JSON.stringify(kept));
    return { ...this.#state(kept), before: [...before].map(([label, points]) => ({ label, points })) };
  }

  async importLabels(file) {
    const lines = (await file.text()).split(/\r?\n/).map(cells);
    const names = (await this.names()) ?? Array.from({ length: size([this.run.n_points]) }, (_, i) => String(i));
    const points = new Map(names.map((name, point) => [name, point]));
    const changes = lines.filter(([name, label]) => points.has(name) && label);
    if (!changes.length) throw new Error("the file has no labels of these images; expected lines of image, label");
    return this.changeLabels(changes.map(([name, label]) => ({ label, points: [points.get(name)] })));
  }

  async exportLabels(withOwn) {
    const names = await this.names();
    const own = withOwn ? await this.ownLabels() : [];
    const kept = this.#kept();
    const rows = ["image,label"];
    for (let point = 0; point < this.run.n_points; point++) {
      const label = kept[point] ?? (own[point] >= 0 ? this.run.classes[own[point]] : "");
      if (label) rows.push(`${quoted(names ? names[point] : String(point))},${quoted(label)}`);
    }
    return new Blob([rows.join("\n") + "\n"], { type: "text/csv" });
  }

  async proposals(by, n) {
    const proposed = (await (await ask("api/proposals.json")).json())[by];
    if (!proposed) throw new Error("This page has no classifier; use cluster centres");
    const kept = this.#kept();
    return proposed.filter((point) => !(point in kept)).slice(0, n);
  }
}

// The model's training noise (Vincent et al. 2010, section 3.3): level, uniform draws -> pixel -> pixel.
const DAMAGES = {
  gaussian: (level, draw) => (x) => x + level * Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw()),
  masking: (level, draw) => (x) => (draw() < level ? 0 : x),
  "salt-and-pepper": (level, draw) => (x) => {
    const u = draw();
    return u < level / 2 ? 0 : u > 1 - level / 2 ? 1 : x;
  },
};

// Seeded uniform random numbers in [0, 1) (mulberry32).
function uniforms(seed) {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// The two cells of a line of a CSV file.
function cells(line) {
  const found = line.match(/^\s*(?:"((?:[^"]|"")*)"|([^,]*)),(?:"((?:[^"]|"")*)"|([^,]*))\s*$/);
  if (!found) return ["", ""];
  const plain = (quotedText, bare) => (quotedText === undefined ? bare : quotedText.replaceAll('""', '"')).trim();
  return [plain(found[1], found[2]), plain(found[3], found[4])];
}
