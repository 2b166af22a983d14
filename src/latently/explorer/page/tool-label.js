// Labelling: the selection, the label names, and proposals of what to label next.

import { $, counted, element, say } from "./dom.js";
import { thumbnail } from "./images.js";
import { labelFile } from "./label-file.js";
import { newest } from "./state.js";

const PREVIEWED = 30;
const PROPOSED = 20;
const MOST_PROPOSED = 200; // per request

export function labelling(page) {
  const { run, labels, state } = page;
  const about = element("p", { className: "hint", id: "selected-count", "aria-live": "polite" });
  const preview = element("div", { className: "sheet", id: "selected" });
  const named = { type: "text", id: "label-name", maxLength: 100, autocomplete: "off", "aria-label": "Label" };
  const name = element("input", named);
  const chips = element("div", { className: "row", id: "label-chips" });
  const proposed = element("div", { className: "sheet", id: "proposed" });
  const button = (id, onclick, ...words) => element("button", { type: "button", id, onclick }, ...words);
  const undo = button("undo", () => attempt(goBack), "Undo");
  const remove = button("unlabel", () => give(""), "Remove label");
  const skip = button("skip", () => attempt(goPast), "Skip ", element("kbd", {}, "S"));
  let by = "clusters"; // method of the next proposals
  let queue = []; // proposed and not yet labelled
  const skipped = new Set(); // not to be proposed again

  const attempt = (work) => work().catch((error) => say(error.message));

  // Label the selection, then go to the next proposal, if any.
  const give = (label) =>
    attempt(async () => {
      const points = state.get("selection");
      if (!points.length) return say("Select images first: click one, or draw a lasso around some.");
      await labels.set(points, label);
      const words = counted(points.length, "image");
      say(
        label ? `${words} labelled ${label}, ${labels.count.toLocaleString("en")} in all` : `${words} unlabelled`,
      );
      await goOn(points);
    });

  // Label names with their keys: a digit is its own key, other names get the remaining digits.
  function keyed() {
    const names = new Set([...run.classes, ...(run.predicts ?? []), ...labels.counts.map(([each]) => each)]);
    const digits = [..."1234567890"];
    const free = digits.filter((digit) => !names.has(digit));
    const allDigits = [...names].every((each) => digits.includes(each));
    const keys = [...names].map((each) => [each, digits.includes(each) ? each : (free.shift() ?? "")]);
    return { keys, allDigits };
  }

  function pressed(event) {
    const typing = event.target.matches("input[type=text], select, textarea");
    if (state.get("tool") !== "label" || typing) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      return undo.click();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "s") return skip.click();
    const judged = by === "odd" && { o: "odd", f: "fine" }[event.key.toLowerCase()];
    if (judged) return give(judged);
    if (!/^[0-9]$/.test(event.key)) return;
    const { keys, allDigits } = keyed();
    const found = keys.find(([, key]) => key === event.key);
    if (found) give(found[0]);
    else if (allDigits) give(event.key);
  }

  // What to label next ---------------------------------------------------------------------------

  const propose = (way) => {
    by = way;
    return attempt(fetchQueue);
  };

  async function fetchQueue() {
    say("Looking for images to label …", true);
    const found = await page.source.proposals(by, Math.min(PROPOSED + skipped.size, MOST_PROPOSED));
    queue = found.filter((point) => !skipped.has(point)).slice(0, PROPOSED);
    say(queue.length ? "" : "No more images to propose.");
    await showQueue();
  }

  async function showQueue() {
    const images = await page.source.images(queue);
    const thumbs = queue.map((point, place) => {
      const made = thumbnail(images[place], page.shape, page.nameOf(point), () => page.click(null, point, false));
      made.dataset.point = point;
      made.setAttribute("aria-current", String(place === 0));
      return made;
    });
    proposed.replaceChildren(...thumbs);
    skip.disabled = !queue.length;
    if (queue.length) await page.click(null, queue[0], false);
  }

  // Go to the proposal after these points, if they were proposed; fetch new proposals after the last one.
  async function goOn(points) {
    const done = new Set(points);
    const left = queue.filter((point) => !done.has(point));
    if (left.length === queue.length) return;
    queue = left;
    await (queue.length ? showQueue() : fetchQueue());
  }

  async function goPast() {
    const selected = state.get("selection").filter((point) => queue.includes(point));
    const points = selected.length ? selected : queue.slice(0, 1);
    for (const point of points) skipped.add(point);
    await goOn(points);
  }

  // Undo the last change and select its images again.
  async function goBack() {
    const points = await labels.undo();
    if (points.length === 1 && queue.length) {
      queue = [points[0], ...queue];
      return showQueue();
    }
    page.select(points);
    if (points.length === 1) await page.pick(points[0]);
  }

  // What is shown --------------------------------------------------------------------------------

  const refreshSelection = newest(async (points) => {
    const words = points.length ? `${points.length.toLocaleString("en")} selected` : "Nothing selected";
    about.textContent = `${words}. Click an image, Ctrl-click adds one; Lasso or Shift-drag selects many.`;
    const some = points.length > 1 ? points.slice(0, PREVIEWED) : []; // a single image is picked, and shown large
    const images = await page.source.images(some);
    preview.replaceChildren(...some.map((point, place) => thumbnail(images[place], page.shape, page.nameOf(point))));
  });

  function refreshLabels() {
    const counts = new Map(labels.counts);
    const made = keyed().keys.map(([each, key]) => {
      const dot = element("i", { className: "dot" });
      dot.style.background = page.colouring.colour(each);
      const words = [dot, each];
      if (key && key !== each) words.push(element("kbd", {}, key));
      if (counts.has(each)) words.push(element("small", {}, counts.get(each).toLocaleString("en")));
      const onclick = () => give(each);
      return element("button", { type: "button", className: "chip", "data-label": each, onclick }, ...words);
    });
    chips.replaceChildren(...made);
    name.placeholder = made.length ? "a name, or press one of the keys below" : "a name, or press a digit";
    undo.disabled = !labels.canUndo;
  }

  document.addEventListener("keydown", pressed);
  state.on("selection", refreshSelection);
  labels.onChange(refreshLabels);
  refreshSelection(state.get("selection"));
  refreshLabels();
  skip.disabled = true;

  const form = element("form", { className: "row" }, name, element("button", { type: "submit", id: "give" }, "Label"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (name.value.trim()) give(name.value.trim());
    name.value = "";
    $("overlay").focus();
  });
  const ways = [
    element("span", { className: "quiet" }, "Propose:"),
    button("by-clusters", () => propose("clusters"), "Cluster centres"),
    button("by-uncertain", () => propose("uncertain"), "Least certain"),
  ];
  const oddest = [button("by-odd", () => propose("odd"), "Oddest"), " then ", element("kbd", {}, "O"), "dd or "];
  if (!run.static) ways.push(...oddest, element("kbd", {}, "F"), "ine");
  const shown = button("select-shown", () => page.select(page.shown()), "Select all shown");
  shown.title = "All that the legend leaves: choose a group there, select it, and give it a name";
  return element(
    "section",
    {},
    element("div", { className: "row" }, ...ways),
    proposed,
    about,
    preview,
    form,
    chips,
    element("div", { className: "row" }, shown, skip, undo, remove),
    ...labelFile(page),
  );
}
