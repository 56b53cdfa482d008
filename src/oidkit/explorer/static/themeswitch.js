// Auto, light or dark, by a button; what is chosen is kept in this browser. See theme.js.

import { icon, announce } from "./dom.js";

const ORDER = ["auto", "light", "dark"];
const root = document.documentElement;

function show(button) {
  const now = root.dataset.theme ?? "auto";
  button.replaceChildren(icon(now));
  button.setAttribute("aria-label", `Theme: ${now}`);
  button.title = `Theme: ${now} (d)`;
}

export function nextTheme(button) {
  const next = ORDER[(ORDER.indexOf(root.dataset.theme ?? "auto") + 1) % ORDER.length];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    localStorage.setItem("oid-theme", next);
  } catch {
    // Nothing is kept: the choice holds for this page.
  }
  show(button);
  announce(`Theme: ${next}`);
}

export function themeSwitch(button) {
  show(button);
  button.addEventListener("click", () => nextTheme(button));
}
