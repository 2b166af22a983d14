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
    if (!this.positions || !this.colours || !this.visible || !width || !height) return;
    const image = this.context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const spans = disc(Math.max(1, Math.round(diameter)));
    const across = width / (view.right - view.left);
    const down = height / (view.top - view.bottom);
    for (const i of this.order) {
      if (!this.visible[i]) continue;
      const x = Math.round((this.positions[2 * i] - view.left) * across);
      const y = Math.round((view.top - this.positions[2 * i + 1]) * down);
      if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
      const colour = this.colours[this.classes[i]];
      for (const [row, from, to] of spans) {
        const line = y + row;
        if (line < 0 || line >= height) continue;
        pixels.fill(colour, line * width + clamp(x + from, width), line * width + clamp(x + to, width));
      }
    }
    this.context.putImageData(image, 0, 0);
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

const clamp = (value, most) => Math.min(Math.max(value, 0), most);

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
