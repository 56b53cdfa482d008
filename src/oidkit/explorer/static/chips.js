// The filters that are set, in a line above the images; each is taken away by a click.

import { el, icon } from "./dom.js";
import { nameOf, colourOf } from "./classes.js";
import { FLAGS, RANGES } from "./state.js";
import { wordOf } from "./filters.js";

const RANGE_WORDS = { size: "box size", boxes: "boxes an image", confidence: "confidence" };
const MODE_WORDS = { any: "", all: "all: ", none: "not: " };

function chip(store, words, patch, colour) {
  const swatch = colour ? el("span", { class: "swatch" }) : null;
  if (swatch) swatch.style.backgroundColor = colour;
  const remove = () => {
    store.set(patch);
    document.querySelector("#chips button")?.focus();
  };
  return el("li", {}, el("button", { type: "button", class: "chip", "aria-label": `Take away: ${words}`, onclick: remove }, swatch, el("span", {}, words), icon("close")));
}

export function drawChips(list, store) {
  const state = store.state;
  const chips = [];
  const each = (name, words, colour) => {
    for (const one of state[name]) {
      chips.push(chip(store, words(one), { [name]: state[name].filter((other) => other !== one) }, colour?.(one)));
    }
  };
  if (state.text) chips.push(chip(store, `“${state.text}”`, { text: "" }));
  for (const mode of Object.keys(MODE_WORDS)) each(mode, (mid) => MODE_WORDS[mode] + nameOf(mid), colourOf);
  each("review", (word) => wordOf(word).toLowerCase());
  each("split", (word) => word);
  each("label", (word) => `has ${wordOf(word).toLowerCase()}`);
  for (const flag of FLAGS) each(flag, (answer) => `${wordOf(flag).toLowerCase()}: ${answer}`);
  for (const name of RANGES) if (state[name]) chips.push(chip(store, `${RANGE_WORDS[name]} ${state[name].replace("-", " – ")}`, { [name]: "" }));
  if (state.place) chips.push(chip(store, `place: column ${Number(state.place.split(".")[0]) + 1}, row ${Number(state.place.split(".")[1]) + 1}`, { place: "" }));
  list.replaceChildren(...chips);
  list.hidden = chips.length === 0;
}
