// Centres a drawing like the training images. MNIST's digits were scaled to a box of 20 x 20, keeping proportions, and
// placed in 28 x 28 with their centre of mass in the middle (LeCun et al. 1998).

// ink: Float32Array of height x width, 0..1. box: fraction of a side that the larger extent is scaled to.
// -> Uint8Array of rows x columns; null if there is no ink
export function centred(ink, width, height, rows, columns, box) {
  const bounds = extent(ink, width, height);
  if (!bounds) return null;
  const { left, top, across, down } = bounds;
  const side = Math.max(1, Math.round(box * Math.min(rows, columns)));
  const scale = Math.max(across, down) / side; // pixels of the drawing per pixel of the image
  const wide = Math.max(1, Math.round(across / scale));
  const high = Math.max(1, Math.round(down / scale));
  const small = new Float32Array(wide * high);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      small[y * wide + x] = mean(ink, width, {
        left: left + (x * across) / wide,
        right: left + ((x + 1) * across) / wide,
        top: top + (y * down) / high,
        bottom: top + ((y + 1) * down) / high,
      });
    }
  }
  const [mx, my] = middle(small, wide, high);
  const dx = inside(Math.round(columns / 2 - mx), columns - wide);
  const dy = inside(Math.round(rows / 2 - my), rows - high);
  const image = new Uint8Array(rows * columns);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++)
      image[(y + dy) * columns + x + dx] = Math.round(255 * Math.min(1, small[y * wide + x]));
  }
  return image;
}

const inside = (value, most) => Math.min(Math.max(value, 0), most);

function extent(ink, width, height) {
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] < 0.05) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return right < 0 ? null : { left, top, across: right - left + 1, down: bottom - top + 1 };
}

// Mean over a rectangle with fractional edges.
function mean(ink, width, { left, right, top, bottom }) {
  let [sum, area] = [0, 0];
  for (let y = Math.floor(top); y < bottom; y++) {
    const tall = Math.min(y + 1, bottom) - Math.max(y, top);
    for (let x = Math.floor(left); x < right; x++) {
      const share = tall * (Math.min(x + 1, right) - Math.max(x, left));
      sum += share * ink[y * width + x];
      area += share;
    }
  }
  return area ? sum / area : 0;
}

function middle(values, wide, high) {
  let [sum, mx, my] = [0, 0, 0];
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const value = values[y * wide + x];
      sum += value;
      mx += value * (x + 0.5);
      my += value * (y + 0.5);
    }
  }
  return [mx / sum, my / sum];
}
