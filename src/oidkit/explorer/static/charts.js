// The charts of what the filters leave. Each bar and each cell sets a filter.

import { el, compact, counted, number } from "./dom.js";
import { bar } from "./bars.js";
import { nameOf, colourOf } from "./classes.js";
import { binName } from "./rangefilter.js";
import { rangeText, toggled } from "./state.js";

const BARS = 30;
const PAIRS = 30;
const MATRIX = 12;

function card(name, title, words, ...content) {
  return el("section", { class: "card", "data-chart": name, "aria-labelledby": `chart-${name}` }, el("h2", { id: `chart-${name}` }, title), el("p", { class: "muted" }, words), ...content);
}

const nothing = () => el("p", { class: "muted" }, "Nothing to show.");

function classes(store, rows) {
  const most = Math.max(1, ...rows.map(([, n]) => n));
  const bars = rows.slice(0, BARS).map(([mid, count]) => {
    const one = bar({
      name: nameOf(mid),
      count,
      most,
      colour: colourOf(mid),
      label: `${nameOf(mid)}: ${number(count)}`,
      data: { chartClass: mid },
      press: () => store.set({ any: toggled(store.state.any, mid) }),
    });
    one.firstChild.setAttribute("aria-pressed", String(store.state.any.includes(mid)));
    return one;
  });
  const words = rows.length > BARS ? `The ${BARS} with most of ${number(rows.length)}.` : "Most first.";
  return card("classes", "Classes", words, bars.length ? el("ul", { class: "bars" }, ...bars) : nothing());
}

function sizes(store, bins) {
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const bars = bins.map((bin) => {
    const text = rangeText(bin.from, bin.to ?? null);
    const pressed = store.state.size === text;
    const one = bar({
      name: binName(bin),
      count: bin.count,
      most,
      label: `Box size ${binName(bin)}: ${number(bin.count)}`,
      data: { chartSize: text },
      press: () => store.set({ size: pressed ? "" : text }),
    });
    one.firstChild.setAttribute("aria-pressed", String(pressed));
    return one;
  });
  return card("sizes", "Box sizes", "Share of the image that a box takes.", bars.length ? el("ul", { class: "bars" }, ...bars) : nothing());
}

function places(store, rows) {
  const most = Math.max(1, ...rows.flat());
  const map = el("div", { class: "places", role: "group", "aria-label": "Places" });
  rows.forEach((row, y) => row.forEach((n, x) => map.append(placeCell(store, x, y, n, most))));
  return card("places", "Places", "Where the middle of a box lies in its image.", map);
}

function placeCell(store, x, y, n, most) {
  const place = `${x}.${y}`;
  const pressed = store.state.place === place;
  const heat = el("span", { class: "heat" });
  // The square root: few boxes are still told from none beside a crowded middle.
  heat.style.opacity = String(Math.sqrt(n / most));
  const words = `Column ${x + 1}, row ${y + 1}: ${counted(n, "box")}`;
  return el("button", { type: "button", class: "place", "data-place": place, "aria-pressed": String(pressed), "aria-label": words, title: words, onclick: () => store.set({ place: pressed ? "" : place }) }, heat);
}

const isPair = (store, a, b) => store.state.all.length === 2 && store.state.all.includes(a) && store.state.all.includes(b);

function choosePair(store, a, b) {
  const chosen = isPair(store, a, b);
  const without = (list) => list.filter((mid) => mid !== a && mid !== b);
  store.set({ all: chosen ? [] : [a, b], any: without(store.state.any), none: without(store.state.none) });
}

function pairs(store, rows) {
  const most = Math.max(1, ...rows.map(([, , n]) => n));
  const bars = rows.slice(0, PAIRS).map(([a, b, count]) => {
    const name = `${nameOf(a)} and ${nameOf(b)}`;
    const one = bar({ name, count, most, label: `${name}: ${counted(count, "image")}`, data: { pair: `${a},${b}` }, press: () => choosePair(store, a, b) });
    one.firstChild.setAttribute("aria-pressed", String(isPair(store, a, b)));
    return one;
  });
  const content = bars.length ? [matrix(store, rows, most), el("ul", { class: "bars" }, ...bars)] : [nothing()];
  return card("pairs", "Co-occurrence", "Images that have both classes.", ...content);
}

/** The same pairs as a square, for the classes that most of them have. */
function matrix(store, rows, most) {
  const weight = new Map();
  const count = new Map();
  for (const [a, b, n] of rows) {
    for (const mid of [a, b]) weight.set(mid, (weight.get(mid) ?? 0) + n);
    count.set(`${a} ${b}`, n).set(`${b} ${a}`, n);
  }
  const mids = [...weight].sort((one, other) => other[1] - one[1]).slice(0, MATRIX).map(([mid]) => mid);
  const body = mids.map((a, y) => {
    const cells = mids.slice(0, y).map((b) => el("td", {}, matrixCell(store, a, b, count.get(`${a} ${b}`), most)));
    return el("tr", {}, el("th", { scope: "row" }, el("span", { class: "unseen" }, nameOf(a))), ...cells, el("td", { class: "diagonal", colspan: mids.length - y, "aria-hidden": "true" }, nameOf(a)));
  });
  return el("div", { class: "matrix-box", tabindex: "0", role: "region", "aria-label": "Pairs of classes as a square" }, el("table", { class: "matrix" }, el("tbody", {}, ...body)));
}

function matrixCell(store, a, b, n, most) {
  if (!n) return null;
  const words = `${nameOf(a)} and ${nameOf(b)}: ${counted(n, "image")}`;
  const heat = el("span", { class: "heat" });
  heat.style.opacity = String(0.12 + 0.88 * Math.sqrt(n / most));
  return el("button", { type: "button", class: "place", "data-matrix": `${a},${b}`, "aria-pressed": String(isPair(store, a, b)), "aria-label": words, title: `${words} (${compact(n)})`, onclick: () => choosePair(store, a, b) }, heat);
}

/** Draw them all, and keep the focus on what set the filter. */
export function drawCharts(root, store, answer) {
  const focus = root.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
  const cards = [classes(store, answer.classes), places(store, answer.places), sizes(store, answer.sizes), pairs(store, answer.pairs)];
  root.replaceChildren(el("div", { class: "cards" }, ...cards));
  const [name] = Object.keys(focus);
  if (!name) return;
  for (const button of root.querySelectorAll("button")) {
    if (button.dataset[name] === focus[name]) return button.focus();
  }
}
