// Drawing pad: the drawing is encoded, shown on the map, reconstructed, and classified if there is a classifier.

import { centred } from "./centring.js";
import { element, say } from "./dom.js";
import { blank, paint, thumbnail } from "./images.js";
import { newest } from "./state.js";

const SIDE = 280;
const BRUSH = 0.075; // fraction of the side, like MNIST's strokes

export function pad(page) {
  const { run, shape } = page;
  const [rows, columns, channels = 1] = shape;
  const surface = element("canvas", {
    width: Math.round((SIDE * columns) / rows),
    height: SIDE,
    id: "pad",
    className: "pad",
    tabIndex: 0,
    role: "img",
    "aria-label": "Drawing pad: draw with mouse, pen or finger",
  });
  const context = surface.getContext("2d", { willReadFrequently: true });
  const centring = element("input", { type: "checkbox", checked: true, id: "centring", onchange: () => refresh() });
  const seen = element("canvas", { role: "img", "aria-label": "Input of the encoder", id: "pad-seen" });
  const rebuilt = element("canvas", { role: "img", "aria-label": "Reconstruction", id: "pad-rebuilt" });
  const bars = element("ol", {
    className: "bars",
    id: "pad-classes",
    "aria-label": "Probability of each class",
    "aria-live": "polite",
  });
  const near = element("div", { className: "sheet", id: "pad-near" });
  blank(seen, shape);
  blank(rebuilt, shape);
  clear();

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, surface.width, surface.height);
    blank(seen, shape);
    blank(rebuilt, shape);
    bars.replaceChildren();
    near.replaceChildren();
    page.state.set("drawn", null);
  }

  // The drawing as bytes in the shape of an image; null if empty.
  function image() {
    const data = context.getImageData(0, 0, surface.width, surface.height).data;
    const ink = Float32Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] / 255);
    const box = centring.checked ? run.pad.box : 1;
    const grey = centring.checked
      ? centred(ink, surface.width, surface.height, rows, columns, box)
      : shrunk(ink, surface.width, surface.height, rows, columns);
    if (!grey) return null;
    const pixels = new Uint8Array(rows * columns * channels);
    grey.forEach((value, i) => pixels.fill(run.pad.dark ? value : 255 - value, i * channels, (i + 1) * channels));
    if (channels % 2 === 0) grey.forEach((_, i) => (pixels[(i + 1) * channels - 1] = 255));
    return pixels;
  }

  const refresh = newest(async () => {
    const pixels = image();
    if (!pixels) return;
    paint(seen, pixels, shape);
    try {
      const code = await page.source.encode(pixels, page.state.get("klass"));
      const [again] = await page.decode([code]);
      paint(rebuilt, again, shape);
      page.state.set("drawn", code);
      if (run.predicts) showClasses(await page.source.classify(pixels));
      const { points } = await page.source.neighbours(code, 12);
      const images = await page.source.images(points);
      near.replaceChildren(
        ...points.map((point, i) =>
          thumbnail(images[i], shape, page.nameOf(point), () => page.click(null, point, false)),
        ),
      );
    } catch (error) {
      say(error.message);
    }
  });

  function showClasses(probabilities) {
    const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 5);
    const lines = order.map((klass) => {
      const p = probabilities[klass];
      const meter = element("meter", { max: 1, value: p, "aria-hidden": "true" });
      const share = element("span", {}, `${(100 * p).toFixed(1)} %`);
      return element("li", { "data-class": run.predicts[klass] }, element("b", {}, run.predicts[klass]), meter, share);
    });
    bars.replaceChildren(...lines);
  }

  let last = null;
  const at = (event) => {
    const scale = surface.width / surface.clientWidth;
    return [event.offsetX * scale, event.offsetY * scale];
  };
  surface.addEventListener("pointerdown", (event) => {
    surface.setPointerCapture(event.pointerId);
    last = at(event);
    line(last, last);
  });
  surface.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = at(event);
    line(last, next);
    last = next;
  });
  for (const kind of ["pointerup", "pointercancel"]) surface.addEventListener(kind, () => (last = null));

  function line([ax, ay], [bx, by]) {
    context.strokeStyle = "#fff";
    context.lineCap = "round";
    context.lineWidth = BRUSH * SIDE;
    context.beginPath();
    context.moveTo(ax, ay);
    context.lineTo(bx + 0.01, by);
    context.stroke();
    refresh();
  }

  page.state.on("klass", refresh);
  return element(
    "section",
    {},
    element(
      "div",
      { className: "draw" },
      surface,
      element(
        "div",
        {},
        element(
          "div",
          { className: "pair" },
          element("figure", {}, seen, element("figcaption", {}, "input")),
          element("figure", {}, rebuilt, element("figcaption", {}, "reconstructed")),
        ),
        bars,
      ),
    ),
    element(
      "div",
      { className: "row" },
      element("button", { type: "button", id: "pad-clear", onclick: clear }, "Clear"),
      element("label", { htmlFor: "centring" }, centring, " Centre and scale like the training images"),
    ),
    element("h2", {}, "Nearest images"),
    near,
  );
}

// The whole pad scaled down, without centring.
function shrunk(ink, width, height, rows, columns) {
  const [across, down] = [width / columns, height / rows];
  const image = new Uint8Array(rows * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const place = Math.floor(y / down) * columns + Math.floor(x / across);
      image[place] = Math.min(255, image[place] + (255 * ink[y * width + x]) / (across * down));
    }
  }
  return image;
}
