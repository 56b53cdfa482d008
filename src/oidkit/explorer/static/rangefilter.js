// A filter by a number: bins with the images in each, and two fields for any other range.

import { el, counted } from "./dom.js";
import { bar } from "./bars.js";
import { rangeOf, rangeText } from "./state.js";

const written = (n) => String(Number(n.toPrecision(4)));

/** "0.1 to 0.5"; a bin of whole numbers is half-open, so 3 to 4 is written as 3. */
export function binName({ from, to }, whole) {
  if (to === null || to === undefined) return `${written(from)} and more`;
  if (whole) return to - from === 1 ? written(from) : `${written(from)} to ${written(to - 1)}`;
  return `${written(from)} to ${written(to)}`;
}

export class RangeFilter {
  #bins = [];

  constructor(store, { name, title, unit, step, most }) {
    this.store = store;
    this.name = name;
    this.title = title;
    this.list = el("ul", { class: "bars", "aria-label": title });
    const field = (side, words) => {
      const input = el("input", { type: "number", min: 0, max: most, step, inputmode: "decimal", "data-range": name, "data-side": side, "aria-label": `${title}, ${words}`, placeholder: words });
      input.addEventListener("change", () => this.#typed());
      return input;
    };
    this.from = field("from", "from");
    this.to = field("to", "to");
    const fields = el("div", { class: "range-fields" }, this.from, el("span", { "aria-hidden": "true" }, "–"), this.to, el("span", { class: "unit" }, unit));
    this.element = el("div", {}, this.list, fields);
  }

  update(state) {
    const [from, to] = rangeOf(state[this.name]);
    if (document.activeElement !== this.from) this.from.value = from ?? "";
    if (document.activeElement !== this.to) this.to.value = to ?? "";
    this.value = state[this.name];
    this.#press();
  }

  counted(bins) {
    this.#bins = bins;
    const most = Math.max(1, ...bins.map((bin) => bin.count));
    const at = [...this.list.querySelectorAll("button")].indexOf(document.activeElement);
    this.list.replaceChildren(...bins.map((bin) => this.#bar(bin, most)));
    if (at >= 0) this.list.querySelectorAll("button")[at]?.focus();
    this.#press();
  }

  #text(bin) {
    return rangeText(bin.from, bin.to ?? null);
  }

  #bar(bin, most) {
    const name = binName(bin, this.name === "boxes");
    return bar({
      name,
      count: bin.count,
      most,
      label: `${this.title} ${name}: ${counted(bin.count, "image")}`,
      data: { range: this.name, bin: this.#text(bin) },
      press: () => this.store.set({ [this.name]: this.value === this.#text(bin) ? "" : this.#text(bin) }),
    });
  }

  #press() {
    this.list.querySelectorAll("button").forEach((button, at) => {
      button.setAttribute("aria-pressed", String(this.#text(this.#bins[at]) === this.value));
    });
  }

  #typed() {
    const value = (input) => (input.value === "" || !input.validity.valid ? null : Number(input.value));
    this.store.set({ [this.name]: rangeText(value(this.from), value(this.to)) });
  }
}
