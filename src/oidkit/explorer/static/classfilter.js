// The filter by class. There may be 20,000 of them: the first ones are listed, and what a search
// finds. Each can be asked for as one of any, as one of all, or as none.

import { el, compact, counted, number, debounce } from "./dom.js";
import { allClasses } from "./classes.js";

const FIRST = 40;
const MORE = 200;
const MODES = ["any", "all", "none"];
const MEANING = { any: "Any of", all: "All of", none: "None of" };

export class ClassFilter {
  #counts = null;
  #rows = new Map();
  #shown = FIRST;

  constructor(store, total) {
    this.store = store;
    this.search = el("input", { type: "search", id: "class-search", "aria-label": "Find a class", placeholder: `Find among ${counted(total, "class")}`, autocomplete: "off", spellcheck: "false" });
    this.search.addEventListener("input", debounce(80, () => this.#restart()));
    this.search.addEventListener("keydown", (event) => this.#enter(event));
    this.list = el("ul", { class: "classes", "aria-label": "Classes" });
    this.more = el("button", { type: "button", class: "quiet more", onclick: () => this.#showMore() });
    this.head = el("div", { class: "class-head", "aria-hidden": "true" }, el("span", {}, "any"), el("span", {}, "all"), el("span", {}, "none"));
    this.element = el("div", {}, this.search, this.head, this.list, this.more);
    this.list.addEventListener("change", (event) => this.#change(event.target));
  }

  focus() {
    this.search.focus();
    this.search.select();
  }

  update(state) {
    this.chosen = new Map(MODES.flatMap((mode) => state[mode].map((mid) => [mid, mode])));
    this.#draw();
  }

  counted(counts) {
    this.#counts = counts;
    this.#draw();
  }

  #restart() {
    this.#shown = FIRST;
    this.#draw();
  }

  #showMore() {
    this.#shown += MORE;
    this.#draw();
  }

  // Enter takes the first that was found.
  #enter(event) {
    if (event.key !== "Enter") return;
    const first = this.#wanted().found[0];
    if (first) this.#set(first.mid, this.chosen.get(first.mid) === "any" ? null : "any");
  }

  #change(input) {
    this.#set(input.dataset.class, input.checked ? input.dataset.mode : null);
  }

  #set(mid, mode) {
    const patch = {};
    for (const one of MODES) {
      const rest = this.store.state[one].filter((other) => other !== mid);
      patch[one] = one === mode ? [...rest, mid] : rest;
    }
    this.store.set(patch);
  }

  // The classes in the order they are listed: most images first, as the other filters leave them.
  #wanted() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = allClasses();
    if (words.length) found = found.filter((one) => words.every((word) => one.search.includes(word)));
    const count = (one) => this.#counts?.[one.mid] ?? 0;
    // Sorting is stable: classes with the same number keep the order of the whole dataset.
    if (this.#counts) found = [...found].sort((a, b) => count(b) - count(a));
    const listed = found.slice(0, this.#shown);
    if (!words.length) {
      const there = new Set(listed.map((one) => one.mid));
      listed.unshift(...allClasses().filter((one) => this.chosen.has(one.mid) && !there.has(one.mid)));
    }
    return { found, listed };
  }

  #draw() {
    const { found, listed } = this.#wanted();
    const focus = this.list.contains(document.activeElement) ? document.activeElement : null;
    const rows = listed.map((one) => this.#row(one));
    // Rows are taken out and put in only where their order has changed: the focus stays.
    const same = rows.length === this.list.children.length && rows.every((row, at) => this.list.children[at] === row);
    if (!same) this.list.replaceChildren(...rows);
    if (focus && document.activeElement !== focus) focus.focus();
    for (const one of listed) this.#show(one);
    const left = found.length - Math.min(found.length, this.#shown);
    this.more.hidden = left === 0;
    this.more.textContent = `Show more (${number(left)})`;
    this.head.hidden = listed.length === 0;
    this.list.hidden = listed.length === 0;
  }

  #row(one) {
    const made = this.#rows.get(one.mid);
    if (made) return made.element;
    const swatch = el("span", { class: "swatch" });
    swatch.style.backgroundColor = one.colour;
    const count = el("span", { class: "count" });
    const inputs = Object.fromEntries(
      MODES.map((mode) => [mode, el("input", { type: "checkbox", "data-class": one.mid, "data-mode": mode, "aria-label": `${MEANING[mode]}: ${one.name}`, title: `${MEANING[mode]}: ${one.name}` })]),
    );
    const label = el("label", { class: "class-name", title: one.name === one.mid ? one.mid : `${one.name} (${one.mid})` }, inputs.any, swatch, el("span", { class: "class-text" }, one.name), count);
    const element = el("li", { class: "class-row", "data-class-row": one.mid }, label, inputs.all, inputs.none);
    this.#rows.set(one.mid, { element, inputs, count });
    return element;
  }

  #show(one) {
    const { element, inputs, count } = this.#rows.get(one.mid);
    const chosen = this.chosen.get(one.mid);
    for (const mode of MODES) inputs[mode].checked = mode === chosen;
    element.dataset.chosen = chosen ?? "";
    if (!this.#counts) return;
    const n = this.#counts[one.mid] ?? 0;
    count.textContent = compact(n);
    count.title = number(n);
    count.dataset.count = n;
    element.classList.toggle("nothing", n === 0);
  }
}
