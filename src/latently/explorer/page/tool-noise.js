// For a denoising model: the picked image, with noise, and denoised.

import { element, number } from "./dom.js";
import { blank, paint } from "./images.js";
import { newest } from "./state.js";

export function noise(page) {
  const { noise: about } = page.run;
  if (!about) return null;
  const most = about.kind === "gaussian" ? Math.max(1, 2 * about.level) : 1;
  const names = ["clean", "noisy", "rebuilt"];
  const canvases = names.map((name) => element("canvas", { role: "img", "aria-label": name, id: `noise-${name}` }));
  canvases.forEach((canvas) => blank(canvas, page.shape));
  const value = element("output", {}, number(about.level));
  const level = element("input", {
    type: "range",
    min: 0,
    max: most,
    step: "any",
    value: about.level,
    id: "noise-level",
  });
  let seed = 0;
  const anew = () => {
    seed++;
    refresh();
  };

  const refresh = newest(async () => {
    value.textContent = number(Number(level.value));
    const point = page.state.get("picked") ?? 0;
    const [clean] = await page.source.images([point]);
    const [noisy, rebuilt] = await page.source.denoise(clean, Number(level.value), seed);
    [clean, noisy, rebuilt].forEach((pixels, place) => paint(canvases[place], pixels, page.shape));
  });

  level.addEventListener("input", refresh);
  page.state.on("picked", refresh);
  refresh();
  const words = about.kind === "gaussian" ? "standard deviation" : "fraction of pixels";
  return element(
    "section",
    {},
    element(
      "div",
      { className: "slider wide" },
      element("label", { htmlFor: level.id }, `${about.kind} noise, ${words}`),
      level,
      value,
    ),
    element(
      "div",
      { className: "pair" },
      ...names.map((name, i) => element("figure", {}, canvases[i], element("figcaption", {}, name))),
    ),
    element("button", { type: "button", onclick: anew }, "New noise"),
  );
}
