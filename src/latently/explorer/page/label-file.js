// The label file: its path, export and import, and the command to train on it.

import { counted, element, say } from "./dom.js";

// -> the elements of this part of the labelling tool
export function labelFile(page) {
  const { run, labels } = page;
  const kept = element("p", { className: "hint", id: "kept" });
  const own = element("input", { type: "checkbox", id: "export-own" });
  const file = element("input", { type: "file", accept: ".csv,text/csv", id: "import", onchange: take });

  async function take() {
    const [chosen] = file.files;
    if (!chosen) return;
    await labels.import(chosen).then(() => say(`Labels read from ${chosen.name}`), failed);
    file.value = "";
  }

  async function download() {
    const address = URL.createObjectURL(await page.source.exportLabels(own.checked));
    element("a", { href: address, download: "labels.csv" }).click();
    URL.revokeObjectURL(address);
  }

  const failed = (error) => say(error.message);
  const refresh = () => {
    kept.textContent = labels.count
      ? `${counted(labels.count, "label")}, saved in ${run.labels_file}.`
      : `Labels will be saved in ${run.labels_file}.`;
  };
  labels.onChange(refresh);
  refresh();

  const onclick = () => download().catch(failed);
  const parts = [
    element("h2", {}, "Label file"),
    kept,
    element(
      "div",
      { className: "row" },
      element("button", { type: "button", id: "export", onclick }, "Export labels.csv"),
      element("label", { className: "button", htmlFor: "import" }, "Import", file),
      element("label", { htmlFor: "export-own" }, own, " including the labels of the source"),
    ),
  ];
  if (run.train_command) {
    parts.push(element("p", { className: "hint" }, "To train a classifier on these labels:"));
    parts.push(element("pre", { tabIndex: 0 }, element("code", {}, run.train_command)));
  }
  return parts;
}
