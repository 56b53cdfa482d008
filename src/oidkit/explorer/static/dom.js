// Elements, icons and numbers. Text goes in as text nodes alone: names and titles come from
// strangers, and nothing of them may become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element; properties that start with "on" are listeners, true and false are bare attributes. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const ICONS = {
  filters: "M3 5h14M6 10h8M8.5 15h3",
  close: "M5 5l10 10M15 5L5 15",
  good: "M4 10.5l4 4 8-9",
  bad: "M5 5l10 10M15 5L5 15",
  note: "M4 16l1-4 8-8 3 3-8 8zM11.5 5.5l3 3",
  zoom: "M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM12.7 12.7L17 17M8.5 6.2v4.6M6.2 8.5h4.6",
  previous: "M12 4l-6 6 6 6",
  next: "M8 4l6 6-6 6",
  back: "M9 4l-6 6 6 6M3 10h14",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  light: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M16 4l-1.4 1.4M5.4 14.6L4 16",
  dark: "M16 12A6.5 6.5 0 0 1 8 4a6.5 6.5 0 1 0 8 8z",
  help: "M7.2 7.4a2.8 2.8 0 1 1 4.2 2.5c-1 .6-1.4 1-1.4 2.1M10 15v.4",
  fold: "M6 8l4 4 4-4",
};

export function icon(name) {
  const filled = name === "auto" ? svg("path", { d: "M10 3a7 7 0 1 0 0 14z", fill: "currentColor" }) : null;
  return svg(
    "svg",
    { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
    filled,
  );
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const number = (n) => whole.format(n);
export const compact = (n) => short.format(n).toLowerCase().replace("m", "M");

/** The word in the number of n: "image" or "images", "box" or "boxes", "class" or "classes". */
export const plural = (n, word) => (n === 1 ? word : `${word}${/[sx]$/.test(word) ? "es" : "s"}`);

/** "1 image", "2 images". */
export const counted = (n, word) => `${number(n)} ${plural(n, word)}`;

/** Say something to who cannot see it: the region is read when its text changes. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** Show a failure where it is seen, and read aloud; an empty text takes it away. */
export function problem(text) {
  const place = document.getElementById("problem");
  place.textContent = text;
  place.hidden = !text;
}

/** Call only once things are quiet for so long. */
export function debounce(wait, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), wait);
  };
}
