// What is drawn over a picture. Everything is placed in per cent of the picture, so that it fits
// at any size; a mask is a picture of its own, stretched over the whole.

import { el, svg } from "./dom.js";
import { colourOf, nameOf } from "./classes.js";

const CROWDED = 14;
const percent = (share) => `${(share * 100).toFixed(4)}%`;
const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
const middle = ([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2];

/** The words of a relationship: "Woman holds Handbag", "Table is Wooden". */
export const relationshipWords = ({ mid1, kind, mid2 }) => [nameOf(mid1), kind, nameOf(mid2)].join(" ").replaceAll("_", " ");

function rectangle([x0, y0, x1, y1], attributes) {
  return svg("rect", {
    x: percent(x0),
    y: percent(y0),
    width: percent(Math.max(0, x1 - x0)),
    height: percent(Math.max(0, y1 - y0)),
    ...attributes,
  });
}

function drawBox(box) {
  const colour = colourOf(box.mid);
  const group = svg("g", { class: "mark box", "data-key": box.key });
  // A dark line below the coloured one: it is seen on pictures of its own colour, too.
  group.append(rectangle(box.box, { class: "under" }), rectangle(box.box, { class: "line", stroke: colour }));
  return group;
}

function drawClicks(box) {
  const group = svg("g", { class: "mark click", "data-key": box.key });
  for (const [x, y] of box.clicks) {
    group.append(svg("circle", { cx: percent(x), cy: percent(y), r: 4, fill: colourOf(box.mid) }));
  }
  return group;
}

function drawPoint(point) {
  const colour = colourOf(point.mid);
  const place = { cx: percent(point.x), cy: percent(point.y) };
  const group = svg("g", { class: `mark point ${point.answer}`, "data-key": point.key });
  group.append(
    svg("circle", { ...place, r: 5, class: "under" }),
    svg("circle", { ...place, r: 5, class: "line", stroke: colour, fill: point.answer === "yes" ? colour : "#fff" }),
  );
  return group;
}

function drawRelationship(one) {
  const colour = colourOf(one.mid1);
  const group = svg("g", { class: "mark relationship", "data-key": one.key });
  group.append(rectangle(one.box1, { class: "line dashed", stroke: colour }));
  if (one.kind === "is" || !one.box2) return group;
  const [x1, y1] = middle(one.box1).map(percent);
  const [x2, y2] = middle(one.box2).map(percent);
  const ends = { x1, y1, x2, y2 };
  group.append(
    rectangle(one.box2, { class: "line dashed", stroke: colourOf(one.mid2) }),
    svg("line", { ...ends, class: "under" }),
    svg("line", { ...ends, class: "line", stroke: colour }),
    svg("circle", { cx: x1, cy: y1, r: 3, fill: colour }),
    svg("circle", { cx: x2, cy: y2, r: 5, class: "end", fill: colourOf(one.mid2) }),
  );
  return group;
}

function drawMask(mask) {
  return el("img", { class: "mark mask", "data-key": mask.key, "data-mid": mask.mid, src: mask.url, alt: "", decoding: "async", draggable: "false" });
}

function plate(key, text, colour, x, y, below) {
  const label = el("span", { class: below ? "plate below" : "plate", "data-key": key }, text);
  label.style.left = percent(Math.min(Math.max(x, 0), 0.98));
  label.style.top = percent(Math.min(Math.max(y, 0), 1));
  label.style.borderLeftColor = colour;
  return label;
}

// What can be drawn of an image, in the order it is drawn: large boxes below, so that the
// pointer finds the small ones.
const KINDS = {
  boxes: { draw: drawBox, of: (image) => [...image.boxes].sort((a, b) => area(b.box) - area(a.box)) },
  relationships: { draw: drawRelationship, of: (image) => image.relationships },
  clicks: { draw: drawClicks, of: (image) => image.boxes.filter((box) => box.clicks) },
  points: { draw: drawPoint, of: (image) => image.points },
};

function plateOf(kind, item) {
  if (kind === "boxes") return plate(item.key, nameOf(item.mid), colourOf(item.mid), item.box[0], item.box[1], item.box[1] < 0.05);
  if (kind === "points") return plate(item.key, `${nameOf(item.mid)}: ${item.answer}`, colourOf(item.mid), item.x, item.y, false);
  if (kind === "masks") return item.box && plate(item.key, nameOf(item.mid), colourOf(item.mid), item.box[0], item.box[1], item.box[1] < 0.05);
  if (kind !== "relationships") return null;
  const [x, y] = middle(item.box1);
  const [x2, y2] = item.kind === "is" || !item.box2 ? [item.box1[0], item.box1[3]] : middle(item.box2);
  return item.kind === "is"
    ? plate(item.key, relationshipWords(item), colourOf(item.mid1), x2, y2, false)
    : plate(item.key, relationshipWords(item), colourOf(item.mid1), (x + x2) / 2, (y + y2) / 2, false);
}

/** Draw what is switched on into `frame`, the element that has the exact size of the picture. */
export function drawOverlay(frame, image, show, { plates = false } = {}) {
  for (const old of frame.querySelectorAll(".over")) old.remove();
  if (show.includes("masks")) {
    const layer = el("div", { class: "over masks" }, ...image.masks.filter((mask) => mask.url).map(drawMask));
    if (layer.childElementCount) frame.append(layer);
  }
  const drawing = svg("svg", { class: "over marks", "aria-hidden": "true" });
  const labels = [];
  for (const [kind, { draw, of }] of Object.entries(KINDS)) {
    if (!show.includes(kind)) continue;
    for (const item of of(image)) {
      drawing.append(draw(item));
      if (plates) labels.push(plateOf(kind, item));
    }
  }
  if (drawing.childElementCount) frame.append(drawing);
  if (!plates) return;
  // A mask is named only where no box does it.
  if (show.includes("masks") && !show.includes("boxes")) labels.push(...image.masks.map((mask) => plateOf("masks", mask)));
  const named = labels.filter(Boolean);
  frame.append(el("div", { class: named.length > CROWDED ? "over plates crowded" : "over plates", "aria-hidden": "true" }, ...named));
}

/** Bring one annotation forward, drawing it for the while where its kind is switched off. */
export function highlight(frame, image, key) {
  for (const old of frame.querySelectorAll(".over.passing")) old.remove();
  for (const old of frame.querySelectorAll(".chosen")) old.classList.remove("chosen");
  frame.classList.toggle("choosing", false);
  if (!key) return;
  if (!chosenIn(frame, key)) drawPassing(frame, image, key);
  frame.classList.toggle("choosing", chosenIn(frame, key));
}

function chosenIn(frame, key) {
  let found = false;
  for (const mark of frame.querySelectorAll("[data-key]")) {
    const same = mark.dataset.key === key;
    mark.classList.toggle("chosen", same);
    found ||= same && mark.classList.contains("mark");
  }
  return found;
}

function drawPassing(frame, image, key) {
  const mask = image.masks.find((one) => one.key === key);
  if (mask?.url) frame.append(el("div", { class: "over masks passing" }, drawMask(mask)));
  for (const [kind, { draw, of }] of Object.entries(KINDS)) {
    const item = of(image).find((one) => one.key === key);
    if (!item || kind === "clicks") continue;
    frame.append(svg("svg", { class: "over marks passing", "aria-hidden": "true" }, draw(item)));
    const label = plateOf(kind, item);
    if (label) frame.append(el("div", { class: "over plates passing", "aria-hidden": "true" }, label));
  }
}
