// The panel of filters: a group for each, with the number of images that each choice would leave.

import { el, icon, compact, number, debounce } from "./dom.js";
import { FLAGS, toggled, withoutFilters } from "./state.js";
import { ClassFilter } from "./classfilter.js";
import { RangeFilter } from "./rangefilter.js";

const WORDS = {
  occluded: "Occluded",
  truncated: "Truncated",
  group_of: "Group of",
  depiction: "Depiction",
  inside: "Inside",
  none: "Not marked",
  bad: "Bad",
  good: "Good",
  "image-labels": "Image labels",
};

/** A word of the data as it is written on the page. */
export const wordOf = (word) => WORDS[word] ?? word.charAt(0).toUpperCase() + word.slice(1).replaceAll("-", " ").replaceAll("_", " ");

/** One group: a heading that folds it, a button that clears it, and what is in it. */
function group(name, title, clear, ...content) {
  const body = el("div", { class: "group-body", id: `group-${name}` }, ...content);
  const fold = el("button", { type: "button", class: "fold", "aria-expanded": "true", "aria-controls": body.id }, icon("fold"), title);
  fold.addEventListener("click", () => {
    body.hidden = !body.hidden;
    fold.setAttribute("aria-expanded", String(!body.hidden));
  });
  const button = el("button", { type: "button", class: "quiet", "data-clear": name, "aria-label": `Clear ${title.toLowerCase()}`, onclick: clear }, "Clear");
  button.hidden = true;
  const element = el("section", { class: "group", "data-group": name }, el("div", { class: "group-head" }, el("h3", {}, fold), button), body);
  return { element, button, body };
}

export class Filters {
  #groups = [];
  #choices = [];

  constructor(root, store, about) {
    this.root = root;
    this.store = store;
    this.#text();
    this.#classes(about);
    if (about.review) this.#choice("review", "Review", ["bad", "good", "none"]);
    if (about.splits.length) this.#choice("split", "Split", about.splits);
    if (about.labels.length) this.#choice("label", "Label type", about.labels);
    if (about.labels.includes("boxes")) {
      this.#flags();
      this.#range("size", "Box size", "share of the image, 0 to 1", "any", 1);
      this.#range("boxes", "Boxes an image", "a number", "1", null);
    }
    if (about.labels.includes("image-labels")) this.#range("confidence", "Confidence", "of an image label, 0 to 1", "any", 1);
    document.getElementById("clear").addEventListener("click", () => this.store.set(withoutFilters()));
    this.update(store.state);
  }

  #add(name, title, names, ...content) {
    const empty = withoutFilters();
    const clear = () => this.store.set(Object.fromEntries(names.map((one) => [one, empty[one]])));
    const made = group(name, title, clear, ...content);
    this.#groups.push({ ...made, names });
    this.root.append(made.element);
    return made;
  }

  #text() {
    const input = el("input", { type: "search", id: "text", "aria-label": "Words in the title or a narrative", placeholder: "Words, e.g. red umbrella", autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", debounce(200, () => this.store.set({ text: input.value.trim() })));
    this.textInput = input;
    this.#add("text", "Title and narratives", ["text"], input);
  }

  #classes(about) {
    this.classFilter = new ClassFilter(this.store, about.classes.length);
    this.#add("classes", "Classes", ["any", "all", "none"], this.classFilter.element);
  }

  #choice(name, title, words) {
    const rows = words.map((word) => {
      const input = el("input", { type: "checkbox", "data-filter": name, "data-value": word });
      input.addEventListener("change", () => this.store.set({ [name]: toggled(this.store.state[name], word) }));
      const count = el("span", { class: "count" });
      this.#choices.push({ name, word, input, count, within: (counts) => counts[{ split: "splits", label: "labels", review: "review" }[name]]?.[word] });
      return el("label", { class: "choice" }, input, el("span", { class: "choice-name" }, wordOf(word)), count);
    });
    this.#add(name, title, [name], ...rows);
  }

  #flags() {
    const answers = ["yes", "no", "unknown"];
    const head = el("tr", {}, el("th", { scope: "col" }, el("span", { class: "unseen" }, "Flag")), ...answers.map((answer) => el("th", { scope: "col" }, wordOf(answer))));
    const rows = FLAGS.map((flag) => el("tr", {}, el("th", { scope: "row" }, wordOf(flag)), ...answers.map((answer) => this.#flagCell(flag, answer))));
    this.#add("flags", "Flags of a box", FLAGS, el("table", { class: "flags" }, el("thead", {}, head), el("tbody", {}, ...rows)));
  }

  #flagCell(flag, answer) {
    const input = el("input", { type: "checkbox", "data-filter": flag, "data-value": answer, "aria-label": `${wordOf(flag)}: ${answer}` });
    input.addEventListener("change", () => this.store.set({ [flag]: toggled(this.store.state[flag], answer) }));
    const count = el("span", { class: "count" });
    this.#choices.push({ name: flag, word: answer, input, count, within: (counts) => counts.flags?.[flag]?.[answer] });
    return el("td", {}, el("label", { class: "pill" }, input, count));
  }

  #range(name, title, unit, step, most) {
    const filter = new RangeFilter(this.store, { name, title, unit, step, most });
    this[name] = filter;
    this.#add(name, title, [name], filter.element);
  }

  /** Show the state in every control. */
  update(state) {
    let any = Boolean(state.place);
    for (const { names, button, element } of this.#groups) {
      const set = names.some((name) => state[name].length);
      button.hidden = !set;
      element.classList.toggle("set", set);
      any ||= set;
    }
    document.getElementById("clear").disabled = !any;
    for (const { name, word, input } of this.#choices) input.checked = state[name].includes(word);
    if (document.activeElement !== this.textInput) this.textInput.value = state.text;
    this.classFilter.update(state);
    for (const name of ["size", "boxes", "confidence"]) this[name]?.update(state);
  }

  /** Show what the server has counted. */
  counted(counts) {
    for (const { within, count, input } of this.#choices) {
      const n = within(counts) ?? 0;
      count.textContent = compact(n);
      count.title = number(n);
      count.dataset.count = n;
      input.closest("label").classList.toggle("nothing", n === 0);
    }
    this.classFilter.counted(counts.classes ?? {});
    this.size?.counted(counts.sizes ?? []);
    this.boxes?.counted(counts.boxes ?? []);
    this.confidence?.counted(counts.confidence ?? []);
  }
}
