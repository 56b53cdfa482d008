// The list of all annotations of an image, by type. A row is chosen by a click, by its focus or by
// keys; what is chosen stands out on the picture.

import { el, number } from "./dom.js";
import { nameOf, colourOf } from "./classes.js";
import { relationshipWords } from "./overlay.js";
import { FLAGS } from "./state.js";
import { wordOf } from "./filters.js";

const share = ([x0, y0, x1, y1]) => `${((x1 - x0) * (y1 - y0) * 100).toFixed(1)} %`;
const confidence = (value) => String(Number(Number(value).toFixed(2)));

function boxWords(box) {
  const flags = FLAGS.filter((flag) => box.flags?.[flag] === 1).map((flag) => wordOf(flag).toLowerCase());
  const sure = box.confidence !== null && box.confidence !== undefined && box.confidence !== 1 ? `confidence ${confidence(box.confidence)}` : "";
  return [share(box.box), ...flags, box.source, sure, box.clicks ? "extreme clicks" : ""];
}

function labelWords(label) {
  if (label.confidence === 0) return ["verified to be absent", label.source];
  return [label.confidence === 1 ? "" : `confidence ${confidence(label.confidence)}`, label.source];
}

const TYPES = [
  ["boxes", "Boxes", (one) => nameOf(one.mid), boxWords],
  ["masks", "Masks", (one) => nameOf(one.mid), (one) => [one.url ? "" : "the mask is not there"]],
  ["relationships", "Relationships", relationshipWords, () => []],
  ["points", "Points", (one) => nameOf(one.mid), (one) => [one.answer, `at ${one.x.toFixed(3)}, ${one.y.toFixed(3)}`]],
  ["labels", "Image labels", (one) => nameOf(one.mid), labelWords],
];

/** All annotations that have a key, in the order of the list. */
export const keysOf = (image) => TYPES.flatMap(([type]) => (image[type] ?? []).map((one) => one.key));

function row(one, name, words, verdicts) {
  const swatch = el("span", { class: "swatch" });
  swatch.style.backgroundColor = colourOf(one.mid ?? one.mid1);
  const pick = el("button", { type: "button", class: "pick", "data-pick": one.key, "aria-pressed": "false" },
    swatch,
    el("span", { class: "pick-name" }, name),
    el("span", { class: "pick-words" }, words.filter(Boolean).join(" · ")));
  return el("li", { class: "annotation", "data-annotation": one.key }, pick, verdicts(one.key, name));
}

/** The sections of the list; `verdicts` gives the review buttons of a key, or null. */
export function annotationSections(image, verdicts) {
  const sections = [];
  for (const [type, title, name, words] of TYPES) {
    const items = image[type] ?? [];
    if (!items.length) continue;
    const rows = items.map((one) => row(one, name(one), words(one), verdicts));
    sections.push(el("section", { "data-type": type }, el("h3", {}, title, " ", el("span", { class: "count" }, number(items.length))), el("ul", { class: "annotations" }, ...rows)));
  }
  if (!sections.length) sections.push(el("p", { class: "muted" }, "No annotation."));
  return sections;
}

export function narratives(image) {
  if (!image.narratives?.length) return null;
  const told = image.narratives.map((one) => el("li", {}, el("p", {}, one.caption), el("p", { class: "muted" }, `Annotator ${one.annotator}`)));
  return el("section", { "data-type": "narratives" }, el("h3", {}, "Narratives ", el("span", { class: "count" }, number(told.length))), el("ul", { class: "narratives" }, ...told));
}
