// The overlay on the points: images in their places, axis ticks, rings of marks, the lasso, and the keyboard cursor.

const CROWDED = 200; // with more marks, each is small
const APART = 90; // minimum pixels between ticks

// map: a MapView; its marks, lasso, cursor and axes are drawn
export function drawOverlay(map) {
  const { overlay, plot } = map;
  const context = overlay.getContext("2d");
  const style = getComputedStyle(overlay);
  const colours = Object.fromEntries(
    ["ink", "quiet", "accent", "card"].map((name) => [name, style.getPropertyValue(`--${name}`)]),
  );
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, plot.clientWidth, plot.clientHeight);
  map.thumbnails?.draw(context);
  if (map.axes) drawAxes(context, map, colours);
  for (const mark of map.marks) drawMark(context, map, mark, colours);
  if (map.lasso) drawLasso(context, map.lasso, colours.accent);
  if (map.cursor && overlay.matches(":focus-visible")) drawCross(context, map.cursor, colours.ink);
}

// Ticks at round numbers along the lower and left edges, and names of the axes.
function drawAxes(context, map, { quiet, card }) {
  const { clientWidth: width, clientHeight: height } = map.plot;
  const [left, top] = map.placeAt(0, 0);
  const [right, bottom] = map.placeAt(width, height);
  const step = roundStep(APART / map.view.scale);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const write = (text, x, y) => {
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  };
  Object.assign(context, { font: "11px system-ui, sans-serif", fillStyle: quiet, strokeStyle: card, lineWidth: 3 });
  Object.assign(context, { lineJoin: "round", textBaseline: "alphabetic" });
  const [across, up] = map.axes;
  for (const value of across ? multiples(step, left, right) : []) {
    const [x] = map.pixelAt([value, 0]);
    if (x < 60 || x > width - 24) continue; // the corner belongs to the other axis
    context.fillRect(x - 0.5, height - 5, 1, 5);
    context.textAlign = "center";
    write(asText(value, digits), x, height - 9);
  }
  for (const value of up ? multiples(step, bottom, top) : []) {
    const [, y] = map.pixelAt([0, value]);
    if (y < 30 || y > height - 24) continue;
    context.fillRect(0, y - 0.5, 5, 1);
    context.textAlign = "left";
    write(asText(value, digits), 9, y + 4);
  }
  context.textAlign = "right";
  if (across) write(`${across} →`, width - 10, height - 24);
  context.textAlign = "left";
  if (up) write(`↑ ${up}`, 9, 18);
}

// The smallest of 1, 2, 5, 10, 20, 50 ... (or 0.5, 0.2 ...) that is not below `least`.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9));
}

function multiples(step, low, high) {
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, i) => (first + i) * step);
}

const asText = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

function drawMark(context, map, { kind, point, place }, { ink, accent, card }) {
  const [x, y] = map.pixelAt(place ?? map.placeOf(point));
  if (kind === "selected" && map.marks.length > CROWDED) return ring(context, x, y, 3, ink, 1);
  const big = kind === "picked" || kind === "drawn";
  if (map.thumbnails?.shown.includes(point)) {
    return frame(context, map.thumbnails.box(point), kind === "near" ? ink : accent, big ? 4 : 2);
  }
  ring(context, x, y, big ? 8 : 4.5, card, big ? 5 : 3);
  ring(context, x, y, big ? 8 : 4.5, kind === "selected" || big ? accent : ink, big ? 2.5 : 1.5);
  if (kind === "drawn") ring(context, x, y, 2, accent, 3);
}

function ring(context, x, y, radius, colour, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function frame(context, box, colour, width) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(...box);
}

function drawLasso(context, corners, accent) {
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = accent;
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.strokeStyle = accent;
  context.stroke();
}

function drawCross(context, [x, y], ink) {
  context.lineWidth = 1.5;
  context.strokeStyle = ink;
  context.strokeRect(x - 12, y, 24, 0);
  context.strokeRect(x, y - 12, 0, 24);
}
