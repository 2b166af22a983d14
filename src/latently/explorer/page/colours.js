// A colour for each class: the twenty of pictures/style.py, lightened in dark mode.

const TWENTY = [
  ..."#9c2e5a #56b4e9 #5d05a4 #e69f00 #0072b2 #5a1a0a #009e73 #10256b #a264f6 #d55e00".split(" "),
  ..."#a2eb3c #424e08 #9ec773 #da76bb #3041ca #604b83 #8f5c2f #5fe6fc #700048 #ce9c9b".split(" "),
];
const LEAST_LUMINANCE = 0.22; // in dark mode: a contrast of about 4 against the background

const dark = matchMedia("(prefers-color-scheme: dark)");

export function onSchemeChange(listener) {
  dark.addEventListener("change", listener);
}

// [red, green, blue], 0..1; class -1: unlabelled
export function colourOf(klass) {
  if (klass < 0) return dark.matches ? [0.42, 0.45, 0.49] : [0.7, 0.71, 0.72];
  const base = parse(TWENTY[klass % TWENTY.length]);
  return dark.matches ? lightened(base) : base;
}

export const css = (colour) => `rgb(${colour.map((part) => Math.round(255 * part)).join(" ")})`;

const parse = (hex) => [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16) / 255);

function lightened(colour) {
  let made = colour;
  while (luminance(made) < LEAST_LUMINANCE) made = made.map((part) => part + 0.08 * (1 - part));
  return made;
}

function luminance([r, g, b]) {
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}
