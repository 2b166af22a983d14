// The learned prior: new images, of a class if it knows any, and images like the one shown.

import { element, number } from "./dom.js";
import { thumbnail } from "./images.js";
import { newest } from "./state.js";

const AT_ONCE = 18;
const MOST_GUIDANCE = 4;

export function samples(page) {
  const { flow, static: isStatic, told } = page.run;
  if (!flow) return null;
  if (isStatic) {
    const words = "This page has no server, and cannot draw from the learned prior; latently explore RUN can.";
    return element("section", {}, element("p", { className: "hint" }, words));
  }
  const drawn = element("div", { className: "sheet", id: "drawn" });
  const alike = element("div", { className: "sheet", id: "alike" });
  const chosen = element("select", { id: "sample-class", onchange: () => draw() });
  if (!told) chosen.append(element("option", { value: "" }, "any"));
  for (const [klass, name] of (flow.classes ?? []).entries()) chosen.append(element("option", { value: klass }, name));
  const guidance = slider("guidance", "Guidance: more, surer of the class and less varied", MOST_GUIDANCE, flow.guidance);
  const strength = slider("strength", "Strength: 0, the image itself; 1, any image", 1, flow.strength);
  const seeds = { drawn: 0, alike: 0 };

  const draw = newest(async () => {
    const klass = chosen.value === "" ? null : Number(chosen.value);
    const w = flow.classes ? Number(guidance.input.value) : null;
    await show(drawn, await page.source.samples(AT_ONCE, klass, w, seeds.drawn), klass);
  });

  const vary = newest(async () => {
    if (page.state.get("tool") !== "samples") return;
    const klass = classOfCode();
    const t = Number(strength.input.value);
    await show(alike, await page.source.variations(page.state.get("code"), AT_ONCE, klass, t, seeds.alike), klass);
  });

  // The class of the code shown: of a picked image its own; else the one chosen here, or decoded as.
  function classOfCode() {
    if (told) return flow.classes.indexOf(told[page.state.get("klass")]);
    const picked = page.state.get("picked");
    if (picked === null) return chosen.value === "" ? null : Number(chosen.value);
    return page.flowClass(picked);
  }

  async function show(sheet, codes, klass) {
    const decodedAs = told ? told.indexOf(flow.classes[klass]) : null;
    const images = await page.source.decode(codes, told ? [decodedAs] : null);
    const thumbs = codes.map((code, place) => {
      const take = () => {
        page.state.set("picked", null);
        if (told) page.state.set("klass", decodedAs);
        page.setCode(code.slice(), "Decoded from a sample");
      };
      return thumbnail(images[place], page.shape, `sample ${place + 1}`, take);
    });
    sheet.replaceChildren(...thumbs);
  }

  // A range input from 0 to `most` with its label and its value.
  function slider(id, words, most, value) {
    const shown = element("output", {}, number(value));
    const input = element("input", { type: "range", id, min: 0, max: most, step: 0.05, value });
    const label = element("label", { htmlFor: id }, words);
    input.addEventListener("input", () => {
      shown.textContent = number(Number(input.value));
      (id === "guidance" ? draw : vary)();
    });
    return { input, row: element("div", { className: "slider wide" }, label, input, shown) };
  }

  const again = (name, work) => () => {
    seeds[name]++;
    work();
  };
  const button = (id, words, onclick) => element("button", { type: "button", id, onclick }, words);

  page.state.on("code", vary);
  page.state.on("tool", () => {
    vary();
    if (page.state.get("tool") === "samples" && !drawn.childElementCount) draw();
  });
  return element(
    "section",
    {},
    element("h2", {}, "New images"),
    element(
      "div",
      { className: "row" },
      ...(flow.classes ? [element("label", {}, "Class ", chosen)] : []),
      button("new-samples", "New samples", again("drawn", draw)),
    ),
    ...(flow.classes ? [guidance.row] : []),
    drawn,
    element("h2", {}, "More like the image shown"),
    element("p", { className: "hint" }, "Click a point on the map, an image, or a sample; its class is kept, if known."),
    element("div", { className: "row" }, button("new-variations", "Others", again("alike", vary))),
    strength.row,
    alike,
  );
}
