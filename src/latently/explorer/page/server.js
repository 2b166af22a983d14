// Requests to the server of a run. `files.js` implements the same interface without a server.

const MOST_AT_ONCE = 1024;
const MOST_KEPT = 20000; // images and codes cached in memory

// Requests that work both with a server and with static files.
export class Source {
  constructor(run) {
    this.run = run;
  }

  ownLabels() {
    return array("api/labels.bin", Int32Array);
  }

  predicted() {
    return array("api/predicted.bin", Int32Array);
  }

  async names() {
    return this.run.named ? (await ask("api/names.json")).json() : null;
  }
}

export class Server extends Source {
  #images = new Kept((points) => this.#rows("api/images", points, Uint8Array, size(this.run.image_shape)));
  #codes = new Kept((points) => this.#rows("api/codes", points, Float32Array, this.run.latent_dim));

  // {positions: (2N), frame: (3Z) or null}
  async plane(name, i, j) {
    return asPlane(await array(`api/plane/${name}?i=${i}&j=${j}`, Float32Array), this.run);
  }

  // The lowest is the oddest.
  scores() {
    return array("api/scores.bin", Float32Array);
  }

  // The name of each point's group, "" for none.
  async groups() {
    return (await ask("api/groups.json")).json();
  }

  images(points) {
    return this.#images.of(points);
  }

  codes(points) {
    return this.#codes.of(points);
  }

  // codes: Float32Arrays; classes: null, one for all, or one for each
  async decode(codes, classes = null) {
    const words = classes === null ? "" : `?class=${classes.join(",")}`;
    return split(await array(`api/decode${words}`, Uint8Array, joined(codes)), codes.length);
  }

  async encode(pixels, klass = null) {
    return array(`api/encode${klass === null ? "" : `?class=${klass}`}`, Float32Array, pixels);
  }

  classify(pixels) {
    return array("api/classify", Float32Array, pixels);
  }

  async denoise(pixels, level, seed) {
    return split(await array(`api/denoise?level=${level}&seed=${seed}`, Uint8Array, pixels), 2);
  }

  // Codes drawn from the learned prior; klass, guidance: null for none
  async samples(n, klass, guidance, seed) {
    const words = asQuery({ n, class: klass, guidance, seed });
    return split(await array(`api/samples?${words}`, Float32Array), n);
  }

  async variations(code, n, klass, strength, seed) {
    const words = asQuery({ n, class: klass, strength, seed });
    return split(await array(`api/variations?${words}`, Float32Array, code), n);
  }

  // Codes from one to another, by the learned prior; klass: of both, null for none
  async path(from, to, n, klass) {
    const words = asQuery({ n, class: klass });
    return split(await array(`api/path?${words}`, Float32Array, joined([from, to])), n);
  }

  async neighbours(code, n) {
    return (await ask(`api/neighbours?n=${n}`, "POST", code)).json();
  }

  async labels() {
    return (await ask("api/labels")).json();
  }

  async changeLabels(changes) {
    return (await ask("api/labels", "POST", JSON.stringify(changes))).json();
  }

  async importLabels(file) {
    return (await ask("api/labels.csv", "PUT", file)).json();
  }

  async exportLabels(withOwn) {
    return (await ask(`api/labels.csv${withOwn ? "?own=yes" : ""}`)).blob();
  }

  async proposals(by, n) {
    return (await (await ask(`api/proposals?by=${by}&n=${n}`)).json()).points;
  }

  async #rows(address, points, Kind, width) {
    const parts = [];
    for (let start = 0; start < points.length; start += MOST_AT_ONCE) {
      const some = Uint32Array.from(points.slice(start, start + MOST_AT_ONCE));
      parts.push(...split(await array(address, Kind, some), some.length));
    }
    if (parts.length && parts[0].length !== width) throw new Error(`${address} answered with another size`);
    return parts;
  }
}

// Cache of rows by point; missing rows are fetched.
class Kept {
  #rows = new Map();
  #fetch;

  constructor(fetch) {
    this.#fetch = fetch;
  }

  async of(points) {
    const missing = [...new Set(points)].filter((point) => !this.#rows.has(point));
    if (missing.length) {
      const rows = await this.#fetch(missing);
      if (this.#rows.size > MOST_KEPT) this.#rows.clear();
      missing.forEach((point, place) => this.#rows.set(point, rows[place]));
    }
    const found = points.map((point) => this.#rows.get(point));
    return found.every(Boolean) ? found : this.#fetch(points);
  }
}

const asQuery = (named) => new URLSearchParams(Object.entries(named).filter(([, value]) => value !== null));

export const size = (shape) => shape.reduce((a, b) => a * b, 1);

export function asPlane(values, run) {
  const n = 2 * run.n_points;
  return { positions: values.subarray(0, n), frame: values.length > n ? values.subarray(n) : null };
}

export function split(values, n) {
  const width = values.length / n;
  return Array.from({ length: n }, (_, i) => values.subarray(i * width, (i + 1) * width));
}

function joined(rows) {
  const all = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, i) => all.set(row, i * row.length));
  return all;
}

export async function array(address, Kind, body = null) {
  const answer = await ask(address, body === null ? "GET" : "POST", body);
  return new Kind(await answer.arrayBuffer());
}

// Throws an error with the server's message if the request is refused.
export async function ask(address, method = "GET", body = null) {
  let answer;
  try {
    answer = await fetch(address, { method, body });
  } catch {
    throw new Error("The server does not respond; is it still running?");
  }
  if (!answer.ok) {
    const refusal = await answer.json().catch(() => ({}));
    throw new Error(refusal.error ?? `${address}: ${answer.status}`);
  }
  return answer;
}
