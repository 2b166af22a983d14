// A conditional model: which class the decoder is told, and the picked code under every class.

import { element } from "./dom.js";
import { thumbnail } from "./images.js";
import { newest } from "./state.js";

export function classes(page) {
  const { told } = page.run;
  if (!told) return null;
  const buttons = told.map((name, klass) =>
    element(
      "button",
      { type: "button", className: "chip", "data-told": name, onclick: () => page.state.set("klass", klass) },
      name,
    ),
  );
  const sheet = element("div", { className: "sheet", id: "analogies" });

  const refresh = newest(async () => {
    const code = page.state.get("code");
    const images = await page.source.decode(
      told.map(() => code),
      told.map((_, klass) => klass),
    );
    const thumbs = images.map((pixels, klass) => {
      const pick = () => page.state.set("klass", klass);
      const thumb = thumbnail(pixels, page.shape, `the same code as ${told[klass]}`, pick);
      thumb.append(element("small", {}, told[klass]));
      return thumb;
    });
    sheet.replaceChildren(...thumbs);
  });

  const mark = (klass) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === klass)));
  mark(page.state.get("klass"));
  page.state.on("klass", mark);
  page.state.on("code", refresh);
  refresh();
  return element(
    "section",
    {},
    element("h2", {}, "The decoder is told"),
    element("div", { className: "row", role: "group", "aria-label": "Class that the decoder is told" }, ...buttons),
    element("h2", {}, "Analogies"),
    element("p", { className: "hint" }, "The code shown, decoded under every class: what is left is style."),
    sheet,
  );
}
