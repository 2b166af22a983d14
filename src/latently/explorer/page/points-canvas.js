// Points drawn as pixels on a canvas: for browsers without WebGL, and after its context is lost.

export class CanvasPoints {
  constructor(canvas) {
    this.name = "canvas";
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  setPositions(positions) {
    this.positions = positions;
  }

  setColours(classes, colours) {
    this.classes = classes;
    this.order = unlabelledFirst(classes, colours.length - 1);
    this.colours = Uint32Array.from(colours, ([r, g, b]) => bytes(r, g, b));
  }

  setVisible(visible) {
    this.visible = visible;
  }

  draw(view, diameter) {
    const { width, height } = this.canvas;
    const { positions, visible, classes, colours } = this;
    if (!positions || !colours || !visible || !width || !height) return;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const { pixels } = this;
    pixels.fill(0);
    const radius = Math.max(diameter, 1) / 2;
    const { inner, edge } = disc(radius, width);
    const reach = Math.ceil(radius);
    const across = width / (view.right - view.left);
    const down = height / (view.top - view.bottom);
    for (const i of this.order) {
      if (!visible[i]) continue;
      const x = Math.round((positions[2 * i] - view.left) * across);
      const y = Math.round((view.top - positions[2 * i + 1]) * down);
      if (!(x > reach && y > reach && x < width - reach && y < height - reach)) continue; // only complete discs
      const colour = colours[classes[i]];
      const middle = y * width + x;
      for (let k = 0; k < inner.length; k++) pixels[middle + inner[k]] = colour;
      for (let k = 0; k < edge.length; k += 2) {
        const place = middle + edge[k];
        pixels[place] = over(colour, pixels[place], edge[k + 1]);
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

// The points in drawing order: labelled points above unlabelled ones.
export function unlabelledFirst(classes, none) {
  const order = new Uint32Array(classes.length);
  let next = 0;
  for (const first of [true, false]) {
    for (let i = 0; i < classes.length; i++) if ((classes[i] === none) === first) order[next++] = i;
  }
  return order;
}

const bytes = (r, g, b) => {
  const four = new Uint8Array([255 * r, 255 * g, 255 * b, 255]);
  return new Uint32Array(four.buffer)[0];
};

// The pixels of a disc as offsets from its centre in an image of some width: those inside, and those at the edge with
// their coverage (0..256).
function disc(radius, width) {
  const [inner, edge] = [[], []];
  const reach = Math.ceil(radius);
  for (let row = -reach; row <= reach; row++) {
    for (let column = -reach; column <= reach; column++) {
      const share = Math.round(256 * Math.min(1, radius + 0.5 - Math.hypot(row, column)));
      const step = row * width + column;
      if (share >= 240) inner.push(step);
      else if (share > 24) edge.push(step, share);
    }
  }
  return { inner: Int32Array.from(inner), edge: Int32Array.from(edge) };
}

// Blends a colour with a pixel, two 8-bit channels per multiplication; on an empty pixel, the coverage becomes its
// alpha.
function over(colour, below, share) {
  const alpha = below >>> 24;
  if (alpha === 0) return ((colour & 0xffffff) | ((share - 1) << 24)) >>> 0;
  const rest = 256 - share;
  const redBlue = ((((below & 0xff00ff) * rest + (colour & 0xff00ff) * share) / 256) & 0xff00ff) >>> 0;
  const green = ((((below & 0xff00) * rest + (colour & 0xff00) * share) / 256) & 0xff00) >>> 0;
  return (redBlue | green | ((alpha + (((255 - alpha) * share) >> 8)) << 24)) >>> 0;
}
