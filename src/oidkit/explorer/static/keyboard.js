// The keys. One table says what they do and is what the page of keys shows, so the two agree.

import { el } from "./dom.js";

const FIELDS = "input:not([type=checkbox]), textarea, select, [contenteditable]";

function on() {
  try {
    return localStorage.getItem("oid-keys") !== "off";
  } catch {
    return true;
  }
}

export class Keyboard {
  /** Each key: {keys, where: "everywhere" | "images" | "image", words, run}. */
  constructor(table, isImageOpen) {
    this.table = table;
    this.isImageOpen = isImageOpen;
    this.dialog = document.getElementById("help");
    this.#page();
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  help() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  #pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.dialog.open) return;
    if (event.target.closest?.(FIELDS)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    // One may do without keys of one letter, which speech input and slips of the hand press.
    if (event.key.length === 1 && !on()) return;
    const where = this.isImageOpen() ? "image" : "images";
    const found = this.table.find((one) => one.keys.includes(event.key) && (one.where === where || one.where === "everywhere"));
    if (!found?.run) return;
    if (found.run(event) !== false) event.preventDefault();
  }

  #page() {
    const titles = { everywhere: "Everywhere", images: "Among the images", image: "On one image" };
    const place = document.getElementById("keys");
    for (const [where, title] of Object.entries(titles)) {
      const rows = this.table
        .filter((one) => one.where === where)
        .map((one) => el("tr", {}, el("td", {}, ...(one.shown ?? one.keys).flatMap((key) => [el("kbd", {}, key), " "])), el("td", {}, one.words)));
      place.append(el("section", {}, el("h3", {}, title), el("table", {}, el("tbody", {}, ...rows))));
    }
    const box = document.getElementById("keys-on");
    box.checked = on();
    box.addEventListener("change", () => {
      try {
        localStorage.setItem("oid-keys", box.checked ? "on" : "off");
      } catch {
        // Nothing is kept here; they stay on.
      }
    });
    document.getElementById("help-close").addEventListener("click", () => this.dialog.close());
  }
}
