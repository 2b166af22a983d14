// Runs a network in the browser: the layers that `layers.py` wrote, for one image or code at a time. Sums use float64.

// values: Float32Array of `shape` [channels, height, width] or [width]; klass: the class, for a conditional network
export function run(layers, weights, values, shape, klass = null) {
  return follow(layers, { values, shape }, weights, klass).values;
}

function follow(layers, made, weights, klass) {
  for (const layer of layers) made = STEPS[layer.kind](made, layer, weights, klass);
  return made;
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);
const each = (change) => (made) => ({ ...made, values: made.values.map(change) });
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x)));
const logit = (p) => Math.log(p / (1 - p));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

const STEPS = {
  dense,
  conv,
  deconv,
  pad,
  pool,
  upsample,
  softmax,
  told,
  norm,
  sum: (made, { branches }, weights, klass) => {
    const [one, other] = branches.map((layers) => follow(layers, made, weights, klass));
    return { ...one, values: one.values.map((value, i) => value + other.values[i]) };
  },
  join: (made, { branches }, weights, klass) => {
    const values = branches.flatMap((layers) => Array.from(follow(layers, made, weights, klass).values));
    return { values: Float32Array.from(values), shape: [values.length] };
  },
  mean: ({ values, shape: [depth, height, width] }) => {
    const places = height * width;
    const mean = (_, d) => values.subarray(d * places, (d + 1) * places).reduce((a, b) => a + b, 0) / places;
    return { values: Float32Array.from({ length: depth }, mean), shape: [depth, 1, 1] };
  },
  flatten: (made) => ({ ...made, shape: [product(made.shape)] }),
  reshape: (made, { shape }) => ({ ...made, shape }),
  last: (made, { n }) => ({ values: made.values.subarray(made.values.length - n), shape: [n] }),
  logit: (made, { least }) => ({
    values: made.values.map((x) => logit(Math.min(Math.max(x, least), 1 - least))),
    shape: made.shape,
  }),
  first: (made, { n }) => ({ values: made.values.subarray(0, n), shape: [n] }),
  relu: each((x) => Math.max(x, 0)),
  leaky_relu: (made, { leak }) => each((x) => (x > 0 ? x : leak * x))(made),
  elu: each((x) => (x > 0 ? x : Math.expm1(x))),
  silu: each((x) => x * sigmoid(x)),
  gelu: each((x) => (x * (1 + erf(x / Math.SQRT2))) / 2),
  softplus: each(softplus),
  tanh: each(Math.tanh),
  sigmoid: each(sigmoid),
};

function dense({ values }, { inputs, outputs, weight, bias }, weights) {
  const made = new Float32Array(outputs);
  for (let o = 0; o < outputs; o++) {
    let sum = weights[bias + o];
    const row = weight + o * inputs;
    for (let i = 0; i < inputs; i++) sum += weights[row + i] * values[i];
    made[o] = sum;
  }
  return { values: made, shape: [outputs] };
}

// weights (out, in, kernel, kernel)
function conv({ values, shape }, { channels, kernel, stride, padding, weight, bias }, weights) {
  const [depth, height, width] = shape;
  const rows = Math.floor((height + 2 * padding[0] - kernel) / stride) + 1;
  const columns = Math.floor((width + 2 * padding[1] - kernel) / stride) + 1;
  const made = new Float32Array(channels * rows * columns);
  for (let o = 0; o < channels; o++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        let sum = weights[bias + o];
        for (let d = 0; d < depth; d++) {
          const from = weight + (o * depth + d) * kernel * kernel;
          for (let ky = 0; ky < kernel; ky++) {
            const y = r * stride + ky - padding[0];
            if (y < 0 || y >= height) continue;
            for (let kx = 0; kx < kernel; kx++) {
              const x = c * stride + kx - padding[1];
              if (x >= 0 && x < width) sum += weights[from + ky * kernel + kx] * values[(d * height + y) * width + x];
            }
          }
        }
        made[(o * rows + r) * columns + c] = sum;
      }
    }
  }
  return { values: made, shape: [channels, rows, columns] };
}

// Transposed convolution: every value is spread over a square. weights (in, out, kernel, kernel)
function deconv({ values, shape }, { channels, kernel, stride, padding, more, weight, bias }, weights) {
  const [depth, height, width] = shape;
  const rows = (height - 1) * stride - 2 * padding[0] + kernel + more[0];
  const columns = (width - 1) * stride - 2 * padding[1] + kernel + more[1];
  const sums = new Float64Array(channels * rows * columns);
  for (let o = 0; o < channels; o++) sums.fill(weights[bias + o], o * rows * columns, (o + 1) * rows * columns);
  for (let d = 0; d < depth; d++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const value = values[(d * height + y) * width + x];
        if (value === 0) continue;
        for (let o = 0; o < channels; o++) {
          const from = weight + (d * channels + o) * kernel * kernel;
          for (let ky = 0; ky < kernel; ky++) {
            const r = y * stride + ky - padding[0];
            if (r < 0 || r >= rows) continue;
            for (let kx = 0; kx < kernel; kx++) {
              const c = x * stride + kx - padding[1];
              if (c >= 0 && c < columns) sums[(o * rows + r) * columns + c] += value * weights[from + ky * kernel + kx];
            }
          }
        }
      }
    }
  }
  return { values: Float32Array.from(sums), shape: [channels, rows, columns] };
}

// Zero padding at the edges; negative values crop.
function pad({ values, shape }, { edges }) {
  const [depth, height, width] = shape;
  const [left, right, top, bottom] = edges;
  const [rows, columns] = [height + top + bottom, width + left + right];
  const made = new Float32Array(depth * rows * columns);
  for (let d = 0; d < depth; d++) {
    for (let r = Math.max(top, 0); r < Math.min(rows, height + top); r++) {
      for (let c = Math.max(left, 0); c < Math.min(columns, width + left); c++) {
        made[(d * rows + r) * columns + c] = values[(d * height + r - top) * width + c - left];
      }
    }
  }
  return { values: made, shape: [depth, rows, columns] };
}

// Max pooling; includes incomplete squares at the end.
function pool({ values, shape }, { size }) {
  const [depth, height, width] = shape;
  const [rows, columns] = [Math.ceil(height / size), Math.ceil(width / size)];
  const made = new Float32Array(depth * rows * columns).fill(-Infinity);
  for (let d = 0; d < depth; d++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const place = (d * rows + Math.floor(y / size)) * columns + Math.floor(x / size);
        made[place] = Math.max(made[place], values[(d * height + y) * width + x]);
      }
    }
  }
  return { values: made, shape: [depth, rows, columns] };
}

// Nearest-neighbour upsampling.
function upsample({ values, shape }, { size }) {
  const [depth, height, width] = shape;
  const [rows, columns] = size;
  const made = new Float32Array(depth * rows * columns);
  for (let d = 0; d < depth; d++) {
    for (let r = 0; r < rows; r++) {
      const y = Math.floor((r * height) / rows);
      for (let c = 0; c < columns; c++) {
        made[(d * rows + r) * columns + c] = values[(d * height + y) * width + Math.floor((c * width) / columns)];
      }
    }
  }
  return { values: made, shape: [depth, rows, columns] };
}

// Group normalisation: groups of channels to mean 0 and variance 1, then a scale and a shift for each channel.
function norm({ values, shape }, { groups, eps, weight, bias }, weights) {
  const [places, size] = [values.length / shape[0], values.length / groups];
  const made = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += size) {
    const group = values.subarray(start, start + size);
    const mean = group.reduce((a, b) => a + b, 0) / size;
    const deviation = Math.sqrt(group.reduce((a, b) => a + (b - mean) ** 2, 0) / size + eps);
    for (let i = start; i < start + size; i++) {
      const channel = Math.floor(i / places);
      made[i] = ((values[i] - mean) / deviation) * weights[weight + channel] + weights[bias + channel];
    }
  }
  return { values: made, shape };
}

function softmax({ values, shape }) {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return { values: powers.map((power) => power / total), shape };
}

// One-hot class: as additional constant channels, or appended to the values.
function told({ values, shape }, { classes, as_planes: asPlanes }, _, klass) {
  const each = asPlanes ? shape[1] * shape[2] : 1;
  const made = new Float32Array(values.length + classes * each);
  made.set(values);
  if (klass !== null) made.fill(1, values.length + klass * each, values.length + (klass + 1) * each);
  return { values: made, shape: asPlanes ? [shape[0] + classes, shape[1], shape[2]] : [made.length] };
}

// erf, Abramowitz & Stegun 1964, 7.1.26: error at most 1.5e-7
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}
