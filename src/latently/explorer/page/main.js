// The page: opens the run, draws the map, and gives each tool what it needs.

import { Colouring } from "./colouring.js";
import { $, element, say } from "./dom.js";
import { blank } from "./images.js";
import { open } from "./open.js";
import { Page } from "./page.js";
import { between } from "./tool-between.js";
import { classes, setUpSwitch } from "./tool-classes.js";
import { labelling } from "./tool-label.js";
import { look } from "./tool-look.js";
import { noise } from "./tool-noise.js";
import { pad } from "./tool-pad.js";
import { samples } from "./tool-samples.js";
import { sliders } from "./tool-sliders.js";

// Planes -------------------------------------------------------------------------------------------

// Names of the axes; null for a coordinate without meaning.
function axesOf(name, [i, j], width) {
  if (name === "pca") return ["component 1", "component 2"];
  if (name === "code") return ["dimension 0", width > 1 ? "dimension 1" : null];
  return name === "dimensions" ? [`dimension ${i}`, `dimension ${j}`] : null;
}

async function setUpPlanes(page) {
  const { run } = page;
  for (const { name, title } of run.planes) $("plane").append(element("option", { value: name }, title));
  const axes = run.dimensions.slice(0, 100).map(({ index }) => index);
  for (const select of [$("axis-x"), $("axis-y")]) {
    for (const index of axes) select.append(element("option", { value: index }, `${index}`));
    select.addEventListener("change", show);
  }
  $("axis-y").selectedIndex = Math.min(1, axes.length - 1);
  $("plane").addEventListener("change", show);

  async function show() {
    const name = $("plane").value;
    $("axes").hidden = name !== "dimensions";
    const chosen = name === "dimensions" ? [Number($("axis-x").value), Number($("axis-y").value)] : [0, 1];
    const words = name === "umap" ? "UMAP takes a minute or two for many points …" : "Reading the codes …";
    $("waiting").textContent = words;
    $("waiting").hidden = false;
    try {
      const plane = await page.source.plane(name, ...chosen);
      page.state.set("plane", { ...plane, name, axes: chosen });
      page.map.setPositions(plane.positions, axesOf(name, chosen, run.latent_dim));
      page.mark();
    } catch (error) {
      say(error.message);
    }
    $("waiting").hidden = true;
  }
  await show();
}

// Tools --------------------------------------------------------------------------------------------

function setUpTools(page) {
  const tools = { look, sliders, samples, between, classes, noise, pad, label: labelling };
  const titles = {
    look: "Look",
    sliders: "Sliders",
    samples: "Samples",
    between: "Between",
    classes: "Classes",
    noise: "Noise",
    pad: "Draw",
    label: "Label",
  };
  const made = Object.entries(tools)
    .map(([name, tool]) => [name, tool(page)])
    .filter(([, panel]) => panel);
  const tabs = made.map(([name, panel]) => {
    panel.id = `panel-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    $("panels").append(panel);
    const attributes = { type: "button", id: `tab-${name}`, role: "tab", "aria-controls": panel.id };
    return element("button", { ...attributes, onclick: () => choose(name) }, titles[name]);
  });
  $("tabs").append(...tabs);
  $("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const place = tabs.indexOf(document.activeElement);
    const next = tabs[(place + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });

  function choose(name) {
    made.forEach(([each, panel], place) => {
      panel.hidden = each !== name;
      tabs[place].setAttribute("aria-selected", String(each === name));
      tabs[place].tabIndex = each === name ? 0 : -1;
    });
    page.state.set("tool", name);
  }
  choose("look");
}

const MODES = ["point", "move", "lasso"];

function setUpModes(page) {
  const choose = (mode) => {
    page.map.mode = mode;
    for (const each of MODES) $(`mode-${each}`).setAttribute("aria-pressed", String(each === mode));
    $("overlay").classList.toggle("lasso", mode === "lasso");
  };
  for (const mode of MODES) $(`mode-${mode}`).addEventListener("click", () => choose(mode));
  const fingers = matchMedia("(hover: none)").matches; // a mouse points without dragging
  $("mode-point").hidden = !fingers;
  choose(fingers ? "point" : "move");
  $("fit").addEventListener("click", () => page.map.fit());
}

async function start() {
  const source = await open();
  const { run } = source;
  document.title = `${run.title} · latently explorer`;
  $("title").textContent = run.title;
  $("facts").append(...run.facts.map((fact) => element("li", {}, fact)));
  blank($("decoded"), run.image_shape);
  blank($("picked"), run.image_shape);
  const page = new Page(source);
  page.colouring = new Colouring(page);
  [page.own, page.names] = await Promise.all([source.ownLabels(), source.names()]);
  await page.labels.load();
  setUpModes(page);
  setUpSwitch(page);
  page.colouring.apply();
  await setUpPlanes(page);
  setUpTools(page);
  page.labels.onChange(() => page.colouring.apply());
  for (const name of ["picked", "near", "selection", "code", "drawn"]) page.state.on(name, () => page.mark());
  page.state.on("klass", () => page.showDecoded(page.state.get("code"), page.state.get("codeWords")));
  page.leave();
  window.explorer = page; // for debugging in the console
  document.documentElement.dataset.ready = "yes";
}

window.addEventListener("unhandledrejection", (event) => say(event.reason?.message ?? String(event.reason)));
start().catch((error) => {
  $("waiting").textContent = error.message;
  say(error.message);
});
