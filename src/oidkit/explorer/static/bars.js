// A bar of a chart that is a button, too.

import { el, compact, number } from "./dom.js";

export function bar({ name, count, most, label, data, press, colour }) {
  const fill = el("span", { class: "bar-fill" });
  fill.style.width = `${(100 * count) / most}%`;
  const swatch = colour ? el("span", { class: "swatch" }) : null;
  if (swatch) swatch.style.backgroundColor = colour;
  const button = el(
    "button",
    { type: "button", class: "bar", "aria-pressed": "false", "aria-label": label, onclick: press },
    fill,
    swatch,
    el("span", { class: "bar-name-text", title: name }, name),
    el("span", { class: "count", title: number(count), "data-count": count }, compact(count)),
  );
  Object.assign(button.dataset, data);
  return el("li", {}, button);
}
