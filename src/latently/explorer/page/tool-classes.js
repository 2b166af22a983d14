// For a conditional model: the class for decoding, and the current code decoded with every class.

import { $, element } from "./dom.js";
import { thumbnail } from "./images.js";
import { newest } from "./state.js";

// The class switch is below the decoded image and applies to all tools.
export function setUpSwitch(page) {
  const { told } = page.run;
  if (!told) return;
  const buttons = told.map((name, klass) => {
    const onclick = () => page.state.set("klass", klass);
    return element("button", { type: "button", className: "chip", "data-told": name, onclick }, name);
  });
  const mark = (klass) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === klass)));
  mark(page.state.get("klass"));
  page.state.on("klass", mark);
  $("told").append(element("span", { className: "quiet" }, "Decoded as"), ...buttons);
  $("told").hidden = false;
}

export function classes(page) {
  const { told } = page.run;
  if (!told) return null;
  const sheet = element("div", { className: "sheet", id: "analogies" });

  const refresh = newest(async () => {
    const code = page.state.get("code");
    const images = await page.source.decode(
      told.map(() => code),
      told.map((_, klass) => klass),
    );
    const thumbs = images.map((pixels, klass) => {
      const pick = () => page.state.set("klass", klass);
      const thumb = thumbnail(pixels, page.shape, `the same code, class ${told[klass]}`, pick);
      thumb.append(element("small", {}, told[klass]));
      return thumb;
    });
    sheet.replaceChildren(...thumbs);
  });

  page.state.on("code", refresh);
  refresh();
  return element(
    "section",
    {},
    element("h2", {}, "Analogies"),
    element("p", { className: "hint" }, "The current code, decoded with every class: the style stays the same."),
    sheet,
  );
}
