// Interpolation between the codes of two images, by the learned prior or along a straight line: a strip and an animation.

import { element, say } from "./dom.js";
import { blank, paint, thumbnail } from "./images.js";
import { newest } from "./state.js";

const STEPS = 9;
const EVERY = 5; // frames of the animation from one image of the strip to the next
const FRAMES = (STEPS - 1) * EVERY + 1;
const PERIOD = 2400; // milliseconds from one end to the other

export function between(page) {
  const { flow, static: isStatic, told } = page.run;
  const learned = flow && !isStatic;
  const ends = [null, null]; // {pixels, code, point}
  const places = ["start", "end"].map((word, place) => {
    const canvas = element("canvas", { role: "img", "aria-label": `The ${word}` });
    blank(canvas, page.shape);
    const onclick = () => choose(place);
    const take = element("button", { type: "button", id: `take-${place}`, onclick }, `Set ${word}`);
    return { canvas, figure: element("figure", {}, canvas, take) };
  });
  const straight = element("input", { type: "checkbox", id: "straight", onchange: () => refresh() });
  const strip = element("div", { className: "sheet strip", id: "strip" });
  const movie = element("canvas", { role: "img", "aria-label": "Animation from one image to the other and back" });
  blank(movie, page.shape);
  const play = element("button", { type: "button", id: "play", "aria-pressed": "false", onclick: toggle }, "Play");
  const at = element("input", {
    type: "range",
    min: 0,
    max: 1,
    step: "any",
    value: 0,
    "aria-label": "Position between start and end",
  });
  let frames = [];
  at.addEventListener("input", () => {
    stop();
    show(Number(at.value));
  });

  async function choose(place) {
    const point = page.state.get("picked");
    if (point === null) return say("Pick an image on the map first.");
    const [[pixels], [code]] = await Promise.all([page.source.images([point]), page.source.codes([point])]);
    ends[place] = { pixels, code, point };
    paint(places[place].canvas, pixels, page.shape);
    refresh();
  }

  const refresh = newest(async () => {
    const [from, to] = ends;
    if (!from || !to) return;
    const codes = await path(from, to);
    const steps = codes.filter((_, i) => i % EVERY === 0);
    const images = await page.decode(steps);
    const thumbs = images.map((pixels, i) =>
      thumbnail(pixels, page.shape, `${Math.round((100 * i) / (STEPS - 1))} % of the way`, () =>
        page.setCode(steps[i], `Decoded ${Math.round((100 * i) / (STEPS - 1))} % of the way`),
      ),
    );
    strip.replaceChildren(...thumbs);
    frames = await page.decode(codes);
    show(Number(at.value));
  });

  // The codes of all frames.
  async function path(from, to) {
    if (learned && !straight.checked) return page.source.path(from.code, to.code, FRAMES, classOf(from, to));
    const along = (t) => from.code.map((value, k) => (1 - t) * value + t * to.code[k]);
    return Array.from({ length: FRAMES }, (_, i) => along(i / (FRAMES - 1)));
  }

  // What the prior is told: the class that both have, or that is decoded as.
  function classOf(from, to) {
    if (told) return flow.classes.indexOf(told[page.state.get("klass")]);
    const klass = page.flowClass(from.point);
    return klass === page.flowClass(to.point) ? klass : null;
  }

  function show(share) {
    if (frames.length) paint(movie, frames[Math.round(share * (FRAMES - 1))], page.shape);
  }

  let started = null;
  function toggle() {
    if (started !== null) return stop();
    if (!frames.length) return say("Choose both images first.");
    started = performance.now();
    play.setAttribute("aria-pressed", "true");
    play.textContent = "Stop";
    requestAnimationFrame(step);
  }

  function step(now) {
    if (started === null) return;
    const phase = ((now - started) / PERIOD) % 2;
    at.value = phase < 1 ? phase : 2 - phase;
    show(Number(at.value));
    requestAnimationFrame(step);
  }

  function stop() {
    started = null;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "Play";
  }

  page.state.on("klass", refresh);
  page.state.on("picked", (point) => {
    const free = ends.indexOf(null);
    if (point !== null && free >= 0 && page.state.get("tool") === "between") choose(free);
  });
  page.state.on("tool", (tool) => tool !== "between" && stop());
  return element(
    "section",
    {},
    element(
      "p",
      { className: "hint" },
      "Pick two images on the map to interpolate between their codes. Set start and Set end use the picked image.",
    ),
    element("div", { className: "pair" }, ...places.map(({ figure }) => figure), element("figure", {}, movie, play)),
    at,
    ...(learned ? [element("label", { className: "hint" }, straight, " On a straight line, not by the learned prior")] : []),
    strip,
  );
}
