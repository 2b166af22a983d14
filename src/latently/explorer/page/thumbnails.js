// On the map, images in place of points where few are in view.

import { css } from "./colours.js";
import { element, say } from "./dom.js";
import { paint } from "./images.js";
import { newest } from "./state.js";

const MOST = 150; // points in view that become images
const MOST_KEPT = 2000; // painted images
const SIDE = 40; // pixels of an image's longer side
const EDGE = 2; // pixels of the frame in the point's colour

export class Thumbnails {
  #painted = new Map(); // point -> canvas

  // map: a MapView, drawn again when images arrive; source: of the images; shape: theirs
  constructor(map, source, shape) {
    Object.assign(this, { map, shown: [] });
    const larger = Math.max(shape[0], shape[1]);
    this.size = [(SIDE * shape[1]) / larger, (SIDE * shape[0]) / larger]; // width, height
    this.smooth = larger > SIDE;
    this.fetch = newest(async (points) => {
      const images = await source.images(points).catch((error) => (say(error.message), [])); // then the points stay
      if (this.#painted.size > MOST_KEPT) this.#painted.clear();
      images.forEach((pixels, place) => {
        const canvas = element("canvas");
        paint(canvas, pixels, shape);
        this.#painted.set(points[place], canvas);
      });
      if (images.length) map.draw();
    });
  }

  // Draws the images of the points in view; none where there are more than MOST.
  draw(context) {
    const { map } = this;
    const [left, top] = map.placeAt(0, 0);
    const [right, bottom] = map.placeAt(map.plot.clientWidth, map.plot.clientHeight);
    const points = map.grid.within({ left, right, bottom, top }, map.visible, MOST);
    const missing = points.filter((point) => !this.#painted.has(point));
    if (missing.length) this.fetch(missing);
    this.shown = points.filter((point) => this.#painted.has(point));
    context.imageSmoothingEnabled = this.smooth;
    for (const point of this.shown) {
      const [x, y, width, height] = this.box(point);
      context.fillStyle = css(map.colours[map.classes[point]]);
      context.fillRect(x - EDGE, y - EDGE, width + 2 * EDGE, height + 2 * EDGE);
      context.drawImage(this.#painted.get(point), x, y, width, height);
    }
  }

  // [left, top, width, height] of a point's image, in pixels of the map.
  box(point) {
    const [[x, y], [width, height]] = [this.map.pixelAt(this.map.placeOf(point)), this.size];
    return [x - width / 2, y - height / 2, width, height];
  }
}
