// Points in a grid of square cells, for fast nearest-neighbour search.

const PER_CELL = 4;

export class Grid {
  // positions: x and y of each point, interleaved
  constructor(positions) {
    const n = positions.length / 2;
    this.positions = positions;
    const [low, high] = bounds(positions);
    this.low = low;
    const extent = Math.max(high[0] - low[0], high[1] - low[1], 1e-9);
    const side = Math.max(1, Math.ceil(Math.sqrt(n / PER_CELL)));
    this.cell = extent / side;
    this.columns = Math.floor((high[0] - low[0]) / this.cell) + 1;
    this.rows = Math.floor((high[1] - low[1]) / this.cell) + 1;
    const cells = new Uint32Array(n);
    const starts = new Uint32Array(this.columns * this.rows + 1);
    for (let i = 0; i < n; i++) {
      cells[i] = this.#cellOf(positions[2 * i], positions[2 * i + 1]);
      starts[cells[i] + 1]++;
    }
    for (let c = 1; c < starts.length; c++) starts[c] += starts[c - 1];
    this.starts = starts;
    this.members = new Uint32Array(n);
    const next = starts.slice();
    for (let i = 0; i < n; i++) this.members[next[cells[i]]++] = i;
  }

  #cellOf(x, y) {
    return Math.floor((y - this.low[1]) / this.cell) * this.columns + Math.floor((x - this.low[0]) / this.cell);
  }

  // Up to n visible points nearest to (x, y) within `reach`: [{point, distance}], nearest first.
  nearest(x, y, n, reach, visible) {
    const found = [];
    const column = Math.floor((x - this.low[0]) / this.cell);
    const row = Math.floor((y - this.low[1]) / this.cell);
    const outside = Math.max(-column, column - this.columns + 1, -row, row - this.rows + 1, 0);
    const last = Math.min(Math.ceil(reach / this.cell), outside + Math.max(this.columns, this.rows));
    for (let ring = outside; ring <= last; ring++) {
      if (found.length === n && found[n - 1].distance <= (ring - 1) * this.cell) break;
      this.#ring(column, row, ring, (point) => {
        if (!visible[point]) return;
        const distance = Math.hypot(this.positions[2 * point] - x, this.positions[2 * point + 1] - y);
        if (distance > reach || (found.length === n && distance >= found[n - 1].distance)) return;
        found.push({ point, distance });
        found.sort((a, b) => a.distance - b.distance);
        if (found.length > n) found.pop();
      });
    }
    return found;
  }

  #ring(column, row, ring, visit) {
    for (let r = Math.max(row - ring, 0); r <= Math.min(row + ring, this.rows - 1); r++) {
      const whole = Math.abs(r - row) === ring;
      const step = whole || ring === 0 ? 1 : 2 * ring;
      for (let c = column - ring; c <= column + ring; c += step) {
        if (c < 0 || c >= this.columns) continue;
        const cell = r * this.columns + c;
        for (let i = this.starts[cell]; i < this.starts[cell + 1]; i++) visit(this.members[i]);
      }
    }
  }

  // The visible points within a rectangle of the plane; none if there are more than `most`.
  within({ left, right, bottom, top }, visible, most) {
    const cell = (value, low, n) => Math.min(Math.max(Math.floor((value - low) / this.cell), 0), n - 1);
    const found = [];
    for (let r = cell(bottom, this.low[1], this.rows); r <= cell(top, this.low[1], this.rows); r++) {
      for (let c = cell(left, this.low[0], this.columns); c <= cell(right, this.low[0], this.columns); c++) {
        const start = r * this.columns + c;
        for (let i = this.starts[start]; i < this.starts[start + 1]; i++) {
          const point = this.members[i];
          const [x, y] = [this.positions[2 * point], this.positions[2 * point + 1]];
          if (!visible[point] || x < left || x > right || y < bottom || y > top) continue;
          if (found.push(point) > most) return [];
        }
      }
    }
    return found;
  }

  // The visible points inside a polygon [[x, y], ...], by the even-odd rule.
  inside(polygon, visible) {
    const [low, high] = bounds(polygon.flat());
    const found = [];
    for (let i = 0; i < this.positions.length / 2; i++) {
      const x = this.positions[2 * i];
      const y = this.positions[2 * i + 1];
      if (visible[i] && x >= low[0] && x <= high[0] && y >= low[1] && y <= high[1] && contains(polygon, x, y)) {
        found.push(i);
      }
    }
    return found;
  }
}

export function bounds(positions) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (let i = 0; i < positions.length; i++) {
    low[i % 2] = Math.min(low[i % 2], positions[i]);
    high[i % 2] = Math.max(high[i % 2], positions[i]);
  }
  return [low, high];
}

function contains(polygon, x, y) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i];
    const [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}
