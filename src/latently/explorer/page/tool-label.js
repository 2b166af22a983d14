// Labelling: what is selected, what it is called, what to label next, and the file.

import { $, element, say } from "./dom.js";
import { thumbnail } from "./images.js";
import { newest } from "./state.js";

const PREVIEWED = 30;
const PROPOSED = 20;

export function labelling(page) {
  const { run, labels, state } = page;
  const about = element("p", { className: "hint", id: "selected-count", "aria-live": "polite" });
  const preview = element("div", { className: "sheet", id: "selected" });
  const name = element("input", {
    type: "text",
    id: "label-name",
    maxLength: 100,
    autocomplete: "off",
    "aria-label": "Label",
  });
  name.placeholder = "a name, or press the key of one below";
  const chips = element("div", { className: "row", id: "label-chips" });
  const undo = element("button", { type: "button", id: "undo", onclick: () => attempt(() => labels.undo()) }, "Undo");
  const remove = element("button", { type: "button", id: "unlabel", onclick: () => give("") }, "Take away");
  const proposed = element("div", { className: "sheet", id: "proposed" });
  const kept = element("p", { className: "hint", id: "kept" });
  const own = element("input", { type: "checkbox", id: "export-own" });
  const file = element("input", { type: "file", accept: ".csv,text/csv", id: "import", onchange: take });
  let queue = []; // what is proposed and not yet labelled

  async function attempt(work) {
    try {
      await work();
    } catch (error) {
      say(error.message);
    }
  }

  // Give the selection a label, then go on to the next proposal, where there is one.
  const give = (label) =>
    attempt(async () => {
      const points = state.get("selection");
      if (!points.length) return say("Select images first: click one, or draw a lasso around some.");
      await labels.set(points, label);
      const words = points.length === 1 ? "1 image" : `${points.length.toLocaleString("en")} images`;
      say(label ? `${words} labelled ${label}` : `${words} without a label again`);
      const labelled = new Set(points);
      const proposedNow = queue.some((point) => labelled.has(point));
      queue = queue.filter((point) => !labelled.has(point));
      if (proposedNow) await showQueue();
    });

  // Names with the keys that give them: a digit is its own key, other names take the digits that are left.
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
      return attempt(() => labels.undo());
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !/^[0-9]$/.test(event.key)) return;
    const { keys, allDigits } = keyed();
    const found = keys.find(([, key]) => key === event.key);
    if (found) give(found[0]);
    else if (allDigits) give(event.key);
  }

  const propose = (by) =>
    attempt(async () => {
      say("Looking for images to label …", true);
      queue = await page.source.proposals(by, PROPOSED);
      say("");
      await showQueue();
    });

  async function showQueue() {
    const images = await page.source.images(queue);
    const thumbs = queue.map((point, place) => {
      const made = thumbnail(images[place], page.shape, page.nameOf(point), () => page.click(null, point, false));
      made.dataset.point = point;
      made.setAttribute("aria-current", String(place === 0));
      return made;
    });
    proposed.replaceChildren(...thumbs);
    if (queue.length) await page.click(null, queue[0], false);
  }

  async function take() {
    if (!file.files.length) return;
    await attempt(async () => {
      await labels.import(file.files[0]);
      say(`Labels read from ${file.files[0].name}`);
    });
    file.value = "";
  }

  const download = () =>
    attempt(async () => {
      const address = URL.createObjectURL(await page.source.exportLabels(own.checked));
      element("a", { href: address, download: "labels.csv" }).click();
      URL.revokeObjectURL(address);
    });

  const refreshSelection = newest(async (points) => {
    const words = points.length ? `${points.length.toLocaleString("en")} selected` : "Nothing selected";
    about.textContent = `${words}. Click an image, Ctrl-click adds one; Lasso or Shift-drag selects many.`;
    const some = points.slice(0, PREVIEWED);
    const images = await page.source.images(some);
    preview.replaceChildren(...some.map((point, place) => thumbnail(images[place], page.shape, page.nameOf(point))));
  });

  function refreshLabels() {
    const counts = new Map(labels.counts);
    chips.replaceChildren(
      ...keyed().keys.map(([each, key]) => {
        const dot = element("i", { className: "dot" });
        dot.style.background = page.colouring.colour(each);
        const words = [dot, each];
        if (key && key !== each) words.push(element("kbd", {}, key));
        if (counts.has(each)) words.push(element("small", {}, counts.get(each).toLocaleString("en")));
        return element(
          "button",
          { type: "button", className: "chip", "data-label": each, onclick: () => give(each) },
          ...words,
        );
      }),
    );
    undo.disabled = !labels.canUndo;
    const many = labels.count === 1 ? "1 label" : `${labels.count.toLocaleString("en")} labels`;
    kept.textContent = labels.count
      ? `${many} given here, kept in ${run.labels_file}.`
      : `Labels will be kept in ${run.labels_file}.`;
  }

  document.addEventListener("keydown", pressed);
  state.on("selection", refreshSelection);
  labels.onChange(refreshLabels);
  refreshSelection(state.get("selection"));
  refreshLabels();

  const form = element("form", { className: "row" }, name, element("button", { type: "submit", id: "give" }, "Label"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (name.value.trim()) give(name.value.trim());
    name.value = "";
    $("overlay").focus();
  });
  const parts = [
    element(
      "div",
      { className: "row" },
      element("span", { className: "quiet" }, "What next?"),
      element(
        "button",
        { type: "button", id: "by-clusters", onclick: () => propose("clusters") },
        "Centres of clusters",
      ),
      element("button", { type: "button", id: "by-uncertain", onclick: () => propose("uncertain") }, "Least certain"),
    ),
    proposed,
    about,
    preview,
    form,
    chips,
    element("div", { className: "row" }, undo, remove),
    element("h2", {}, "The file"),
    kept,
    element(
      "div",
      { className: "row" },
      element("button", { type: "button", id: "export", onclick: download }, "Export labels.csv"),
      element("label", { className: "button", htmlFor: "import" }, "Import", file),
      element("label", { htmlFor: "export-own" }, own, " with the labels the images came with"),
    ),
  ];
  if (run.train_command) {
    parts.push(element("p", { className: "hint" }, "A classifier from these labels:"));
    parts.push(element("pre", {}, element("code", {}, run.train_command)));
  }
  return element("section", {}, ...parts);
}
