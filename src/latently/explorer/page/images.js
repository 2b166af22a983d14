// Draws pixels (bytes in the shape of an image) on a canvas.

import { element } from "./dom.js";

// shape: [height, width] or [height, width, channels]; alpha is blended with black, as in the model's input.
export function paint(canvas, pixels, shape) {
  const [height, width, channels = 1] = shape;
  canvas.classList.remove("blank");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const from = i * channels;
    const alpha = channels % 2 === 0 ? pixels[from + channels - 1] / 255 : 1;
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = pixels[from + (channels < 3 ? 0 : c)] * alpha;
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// An empty canvas in the shape of an image.
export function blank(canvas, shape) {
  canvas.classList.add("blank");
  canvas.width = shape[1];
  canvas.height = shape[0];
}

// A small image; a button if there is an onclick.
export function thumbnail(pixels, shape, label, onclick = null) {
  const canvas = element("canvas", { role: "img", "aria-label": label });
  paint(canvas, pixels, shape);
  if (!onclick) return element("span", { className: "thumb" }, canvas);
  return element("button", { type: "button", className: "thumb", title: label, "aria-label": label, onclick }, canvas);
}
