// A slider for every latent dimension, most active first.

import { element, number } from "./dom.js";

const AT_ONCE = 24;

export function sliders(page) {
  const { run } = page;
  const list = element("div", { className: "sliders" });
  const rows = new Map();
  let shown = 0;

  const more = element("button", { type: "button", onclick: () => show(AT_ONCE) });
  const reset = () => page.setCode(Float32Array.from(run.mean), "Decoded from the mean code");
  const draw = () => page.setCode(draws(run), "Decoded from a sample of the prior");
  const buttons = [element("button", { type: "button", id: "reset", onclick: reset }, "Mean")];
  if (run.prior)
    buttons.push(element("button", { type: "button", id: "draw", onclick: draw }, "Sample from the prior"));
  const unit = run.activity_unit === "nats" ? "KL in nats" : "variance of the code";

  function show(n) {
    for (const dimension of run.dimensions.slice(shown, shown + n)) list.append(row(dimension));
    shown = Math.min(shown + n, run.dimensions.length);
    more.textContent = `${run.dimensions.length - shown} more dimensions`;
    more.hidden = shown === run.dimensions.length;
    refresh(page.state.get("code"));
  }

  function row({ index, activity, low, high }) {
    const value = element("output", {});
    const most = Math.max(run.dimensions[0].activity, 1e-9);
    const meter = element("meter", {
      max: most,
      value: activity,
      title: `activity ${number(activity, 3)} ${run.activity_unit}`,
      "aria-label": `activity ${number(activity, 3)} ${run.activity_unit}`,
    });
    const input = element("input", {
      type: "range",
      min: low,
      max: high,
      step: "any",
      "aria-label": `Dimension ${index}`,
      id: `dimension-${index}`,
      oninput: () => {
        const code = page.state.get("code").slice();
        code[index] = Number(input.value);
        page.state.set("picked", null);
        page.setCode(code, "Decoded from the sliders");
      },
    });
    rows.set(index, { input, value });
    const name = element("label", { htmlFor: input.id }, `${index}`);
    return element("div", { className: "slider" }, name, meter, input, value);
  }

  function refresh(code) {
    for (const [index, { input, value }] of rows) {
      input.value = code[index];
      value.textContent = number(code[index]);
    }
  }

  page.state.on("code", refresh);
  show(AT_ONCE);
  return element(
    "section",
    {},
    element("div", { className: "row" }, ...buttons),
    element("p", { className: "hint" }, `Sorted by activity (${unit}), shown by the bars.`),
    list,
    more,
  );
}

// A code sampled from the prior: one of its samples, or a Gaussian per dimension (Box & Muller 1958).
function draws(run) {
  if (run.prior.draws) return Float32Array.from(run.prior.draws[Math.floor(Math.random() * run.prior.draws.length)]);
  return Float32Array.from(run.prior.mean, (mean, k) => {
    const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    return mean + run.prior.stddev[k] * normal;
  });
}
