// Helpers for DOM elements and messages.

export const $ = (id) => document.getElementById(id);

// element("button", {type: "button", onclick: go, "aria-label": "Go"}, "Go")
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.includes("-")) made[name] = value;
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Shows a message that fades after a while, or stays until the next one (for work in progress).
export function say(sentence, stays = false) {
  const line = $("status");
  line.textContent = sentence;
  line.classList.toggle("shown", Boolean(sentence));
  clearTimeout(say.timer);
  if (!stays) say.timer = setTimeout(() => line.classList.remove("shown"), 6000);
}

export const number = (value, digits = 2) => value.toFixed(digits).replace("-", "\u2212");

// 1 image, 2,000 images
export const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
