// The page of one image: the picture with what is drawn over it, every annotation, who made it,
// and its review.

import * as api from "./api.js";
import { el, icon, number, announce } from "./dom.js";
import { shapeOf } from "./cell.js";
import { annotationSections, keysOf, narratives } from "./annotations.js";
import { drawOverlay, highlight } from "./overlay.js";
import { metadataList } from "./metadata.js";
import { filterQuery } from "./state.js";

const LARGER = 2.5;

/** Where an annotation lies, if it lies anywhere. */
function boxOf(image, key) {
  const found = [...image.boxes, ...image.masks, ...image.relationships, ...image.points].find((one) => one.key === key);
  return found?.box ?? found?.box1 ?? (found && "x" in found ? [found.x, found.y, found.x, found.y] : null);
}

export class Viewer {
  image = null;
  chosen = "";
  #waiting = [];
  #ask = api.newest((name, query, signal) => api.oneImage(name, query, signal));

  /** `hooks`: show() what is drawn, go(image), close(), listed(image) what the list knows of it, and the review or null. */
  constructor(root, hooks) {
    this.root = root;
    this.hooks = hooks;
    this.#build();
    new ResizeObserver(() => this.#fit()).observe(this.stage);
  }

  #build() {
    const move = (name, words, run) => el("button", { type: "button", class: "icon-button", id: `viewer-${name}`, "aria-label": words, title: words, onclick: run }, icon(name));
    this.closeButton = el("button", { type: "button", class: "quiet", id: "viewer-close", title: "Back to the images (Esc)", onclick: () => this.hooks.close() }, icon("back"), "All images");
    this.previous = move("previous", "Previous image", () => this.ready(() => this.step("previous")));
    this.next = move("next", "Next image", () => this.ready(() => this.step("next")));
    this.zoomButton = move("zoom", "Larger (z)", () => this.zoom());
    this.zoomButton.setAttribute("aria-pressed", "false");
    this.title = el("h2", { id: "viewer-title", tabindex: "-1" });
    this.place = el("p", { class: "muted", id: "viewer-place" });
    this.picture = el("img", { id: "picture", decoding: "async", draggable: "false" });
    this.frame = el("div", { class: "frame", id: "frame" }, this.picture);
    this.missing = el("p", { class: "note", id: "missing", hidden: true });
    this.stage = el("div", { class: "stage", id: "stage", role: "region", "aria-label": "Picture" }, this.frame);
    this.side = el("div", { class: "side", id: "side", tabindex: "0", role: "region", "aria-label": "Annotations and metadata" });
    this.root.append(
      el("div", { class: "viewer-head" }, this.closeButton, this.title, this.place, el("div", { class: "moves" }, this.zoomButton, this.previous, this.next)),
      el("div", { class: "viewer-body" }, el("div", { class: "stage-box" }, this.missing, this.stage), this.side),
    );
    this.picture.addEventListener("load", () => this.#loaded());
    this.picture.addEventListener("error", () => this.#absent("The file of this image cannot be shown."));
    this.#pointing();
  }

  // Pointing at one side brings the other forward; a click chooses it until another is chosen.
  #pointing() {
    const keyAt = (target) => target.closest?.(".mark[data-key]")?.dataset.key ?? target.closest?.("[data-annotation]")?.dataset.annotation ?? "";
    for (const side of [this.frame, this.side]) {
      side.addEventListener("pointerover", (event) => this.#light(keyAt(event.target) || this.chosen));
      side.addEventListener("pointerleave", () => this.#light(this.chosen));
    }
    this.frame.addEventListener("dblclick", () => this.zoom());
    this.frame.addEventListener("click", (event) => this.choose(keyAt(event.target), { scroll: true }));
    this.side.addEventListener("click", (event) => {
      const pick = event.target.closest(".pick");
      if (pick) this.choose(pick.dataset.pick === this.chosen ? "" : pick.dataset.pick);
    });
    this.side.addEventListener("focusin", (event) => this.#light(keyAt(event.target) || this.chosen));
    this.side.addEventListener("focusout", () => this.#light(this.chosen));
  }

  /** Show an image; gives false when another one was asked for meanwhile. */
  async show(name, state) {
    this.root.hidden = false;
    this.root.setAttribute("aria-busy", "true");
    this.asked = name;
    try {
      const image = await this.#ask(name, filterQuery(state));
      // Another one was asked for, or it was closed meanwhile.
      if (image === null || this.asked !== name) return false;
      this.#take(image);
    } catch (error) {
      if (this.asked !== name) return false;
      this.#none(name, error);
    }
    this.root.removeAttribute("aria-busy");
    for (const run of this.#waiting.splice(0)) this.ready(run);
    return true;
  }

  /** Do something with the image that was asked for once it is there: keys are faster than answers. */
  ready(run) {
    if (this.image?.image === this.asked) run();
    else if (this.root.hasAttribute("aria-busy")) this.#waiting.push(run);
  }

  hide() {
    this.root.hidden = true;
    this.root.removeAttribute("aria-busy");
    this.#waiting = [];
    this.image = null;
    this.asked = "";
    this.picture.removeAttribute("src");
    this.frame.style.backgroundImage = "";
    drawOverlay(this.frame, { boxes: [], masks: [], points: [], relationships: [] }, []);
  }

  #take(image) {
    const same = this.image?.image === image.image;
    this.image = image;
    image.shape = this.hooks.listed(image.image)?.shape;
    const [split, id] = image.image.split("/");
    this.root.dataset.image = image.image;
    this.title.textContent = id;
    const among = Number.isInteger(image.place) ? `${number(image.place + 1)} of ${number(image.total)}` : "not among the filtered images";
    this.place.textContent = `${split} · ${among}`;
    this.previous.disabled = !image.previous;
    this.next.disabled = !image.next;
    this.#picture(image);
    this.#side(image);
    this.#fit();
    this.redraw();
    this.choose(same && keysOf(image).includes(this.chosen) ? this.chosen : "");
    if (!same) this.side.scrollTop = 0;
    if (!same && this.zoomed) this.zoom(false);
    announce(`${id}, ${among}`);
    this.#ahead(image);
  }

  #picture(image) {
    this.missing.hidden = !image.missing;
    this.missing.textContent = image.missing ? `${image.missing[0].toUpperCase()}${image.missing.slice(1)}.` : "";
    this.frame.classList.toggle("absent", !image.there);
    this.picture.alt = image.metadata?.Title ? `The image “${image.metadata.Title}”` : `The image ${image.image}`;
    if (!image.there) {
      this.picture.removeAttribute("src");
      this.frame.style.backgroundImage = "";
      return;
    }
    // The thumbnail is at hand already: it stands in until the file is read.
    this.frame.style.backgroundImage = `url("${api.thumbAddress(image.image)}")`;
    const address = api.imageAddress(image.image);
    if (this.picture.getAttribute("src") !== address) this.picture.src = address;
  }

  // Only the picture itself says how large it is where the list does not, as in a plan.
  #loaded() {
    if (!this.image || (this.image.width && this.image.height)) return;
    this.image.shape = { width: this.picture.naturalWidth, height: this.picture.naturalHeight };
    this.#fit();
  }

  #absent(words) {
    if (!this.picture.hasAttribute("src")) return;
    this.frame.classList.add("absent");
    this.missing.textContent = words;
    this.missing.hidden = false;
  }

  #side(image) {
    const { review } = this.hooks;
    const verdicts = (key, name) => review && review.buttons(image, key, name);
    const own = review ? el("div", { class: "own-review" }, el("h3", {}, "This image"), review.buttons(image, "", "this image")) : null;
    this.side.replaceChildren(...[own, metadataList(image), narratives(image), ...annotationSections(image, verdicts)].filter(Boolean));
  }

  #none(name, error) {
    this.image = null;
    this.title.textContent = name;
    this.place.textContent = "";
    this.previous.disabled = this.next.disabled = true;
    this.picture.removeAttribute("src");
    this.frame.style.backgroundImage = "";
    this.frame.style.width = this.frame.style.height = "0";
    this.side.replaceChildren();
    this.missing.textContent = `This image cannot be shown: ${error.message}`;
    this.missing.hidden = false;
  }

  // The largest whole pixels that fit, in the shape of the image: overlays and masks then lie exactly.
  #fit() {
    if (!this.image) return;
    const { width, height } = shapeOf(this.image);
    const room = { width: this.stage.clientWidth, height: this.stage.clientHeight };
    if (!room.width || !room.height) return;
    const fitting = Math.min(room.width / width, room.height / height);
    const scale = this.zoomed ? Math.max(1, fitting * LARGER) : fitting;
    const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
    const { style } = this.frame;
    style.width = `${size.width}px`;
    style.height = `${size.height}px`;
    // In the middle, but at a whole pixel: a mask is to cover the very pixels of its picture.
    style.marginLeft = `${Math.max(0, Math.floor((room.width - size.width) / 2))}px`;
    style.marginTop = `${Math.max(0, Math.floor((room.height - size.height) / 2))}px`;
  }

  /** Show the picture larger, around what is chosen, or as a whole again. */
  zoom(on = !this.zoomed) {
    this.zoomed = on;
    this.stage.classList.toggle("zoomed", on);
    this.zoomButton.setAttribute("aria-pressed", String(on));
    // A region that scrolls has to be reached by the keyboard; one that does not is only in the way.
    if (on) this.stage.tabIndex = 0;
    else this.stage.removeAttribute("tabindex");
    this.#fit();
    const [x0, y0, x1, y1] = (this.image && boxOf(this.image, this.chosen)) ?? [0, 0, 1, 1];
    this.stage.scrollTo(
      (this.frame.offsetWidth * (x0 + x1)) / 2 - this.stage.clientWidth / 2,
      (this.frame.offsetHeight * (y0 + y1)) / 2 - this.stage.clientHeight / 2,
    );
  }

  // The neighbours are asked for ahead: going through a list does not wait for the disk.
  #ahead(image) {
    // One that is not there, or of which nothing is known, is not asked for: that would fail.
    const next = image.next && this.hooks.listed(image.next);
    if (next?.there && !next.failed) new Image().src = api.imageAddress(next.image);
  }

  redraw() {
    if (!this.image) return;
    drawOverlay(this.frame, this.image, this.hooks.show(), { plates: true });
    highlight(this.frame, this.image, this.chosen);
  }

  #light(key) {
    if (!this.image || this.lit === key) return;
    this.lit = key;
    highlight(this.frame, this.image, key);
    for (const row of this.side.querySelectorAll(".annotation")) row.classList.toggle("lit", row.dataset.annotation === key);
  }

  /** Choose an annotation; the empty key is the image itself. */
  choose(key, { scroll = false, focus = false } = {}) {
    this.chosen = key;
    this.lit = undefined;
    this.#light(key);
    for (const row of this.side.querySelectorAll(".annotation")) {
      const own = row.dataset.annotation === key;
      row.classList.toggle("chosen-row", own);
      const pick = row.querySelector(".pick");
      pick.setAttribute("aria-pressed", String(own));
      if (own && focus) pick.focus({ preventScroll: true });
      if (own && (scroll || focus)) row.scrollIntoView({ block: "nearest" });
    }
  }

  /** Choose the next annotation of the list, or the one before. */
  walk(step) {
    const keys = keysOf(this.image);
    if (!keys.length) return;
    const at = keys.indexOf(this.chosen);
    const to = at < 0 ? (step > 0 ? 0 : keys.length - 1) : Math.max(0, Math.min(at + step, keys.length - 1));
    this.choose(keys[to], { focus: true });
  }

  step(way) {
    const to = this.image[way];
    if (to) this.hooks.go(to);
  }

  /** Take in a new review of the image that is shown. */
  reviewed(name, review) {
    if (this.image?.image !== name) return;
    this.image.review = review;
    for (const row of this.side.querySelectorAll("[data-review]")) this.hooks.review.show(row, review[row.dataset.review]);
  }
}
