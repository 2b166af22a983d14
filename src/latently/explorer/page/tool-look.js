// The nearest images to the picked one by code, and some of the images shown.

import { element } from "./dom.js";
import { thumbnail } from "./images.js";
import { newest } from "./state.js";

const SOME = 24;

export function look(page) {
  const near = element("div", { className: "sheet", id: "near" });
  const some = element("div", { className: "sheet", id: "some" });
  const hint = element("p", { className: "hint" }, "Click a point on the map, or an image below.");
  const panel = element(
    "section",
    {},
    element("h2", {}, "Nearest by code"),
    hint,
    near,
    element("h2", {}, "Some of the images shown"),
    some,
  );

  const fill = async (sheet, points) => {
    const images = await page.source.images(points);
    const thumbs = points.map((point, place) =>
      thumbnail(images[place], page.shape, page.nameOf(point), () => page.click(null, point, false)),
    );
    points.forEach((point, place) => (thumbs[place].dataset.point = point));
    sheet.replaceChildren(...thumbs);
  };

  page.state.on(
    "near",
    newest(async (points) => {
      hint.hidden = points.length > 0;
      await fill(near, points);
    }),
  );
  const refresh = newest(async (visible) => {
    const shown = [];
    visible.forEach((is, point) => is && shown.push(point));
    const step = Math.max(1, shown.length / SOME);
    const chosen = Array.from({ length: Math.min(SOME, shown.length) }, (_, i) => shown[Math.floor(i * step)]);
    await fill(some, chosen);
  });
  page.state.on("visible", refresh);
  refresh(page.state.get("visible"));
  return panel;
}
