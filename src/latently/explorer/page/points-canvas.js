// The points as pixels that we set ourselves: for browsers without WebGL, and where its context is lost.

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
    const radius = Math.max(1, Math.round(diameter)) / 2;
    const spans = disc(2 * radius);
    const across = width / (view.right - view.left);
    const down = height / (view.top - view.bottom);
    for (const i of this.order) {
      if (!visible[i]) continue;
      const x = Math.round((positions[2 * i] - view.left) * across);
      const y = Math.round((view.top - positions[2 * i + 1]) * down);
      if (!(x > radius && y > radius && x < width - radius && y < height - radius)) continue; // whole discs alone
      const colour = colours[classes[i]];
      for (const [row, from, to] of spans) {
        const line = (y + row) * width + x;
        for (let place = line + from; place < line + to; place++) pixels[place] = colour;
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

// The points in the order of drawing, so that those with a label lie on those without.
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

// Rows of a disc: [row, from, to] around its middle.
function disc(diameter) {
  const radius = diameter / 2;
  const rows = [];
  for (let row = 0; row < diameter; row++) {
    const y = row + 0.5 - radius;
    const half = Math.max(0.5, Math.sqrt(Math.max(radius * radius - y * y, 0)));
    rows.push([row - Math.floor(radius), Math.round(-half), Math.round(half)]);
  }
  return rows;
}
