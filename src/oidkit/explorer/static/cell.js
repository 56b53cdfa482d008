// One cell of the grid: it is made once and filled again and again with other images.

import { thumbAddress } from "./api.js";
import { drawOverlay } from "./overlay.js";
import { el, icon, counted } from "./dom.js";

/** The shape of an image: its size in pixels where that is known, else that of a picture of it. */
export const shapeOf = (image) => (image.width && image.height ? image : (image.shape ?? { width: 4, height: 3 }));

export class Cell {
  #drawn = null;

  constructor() {
    this.picture = el("img", { alt: "", decoding: "async", draggable: "false" });
    this.frame = el("span", { class: "frame" }, this.picture);
    this.name = el("span", { class: "cell-name" });
    this.count = el("span", { class: "cell-count" });
    this.verdict = el("span", { class: "verdict" });
    this.link = el("a", { class: "cell-link", href: "?", tabindex: "-1" }, el("span", { class: "mat" }, this.frame), this.verdict, el("span", { class: "caption" }, this.name, this.count));
    this.element = el("div", { role: "gridcell" }, this.link);
    this.index = -1;
    this.picture.addEventListener("load", () => this.#loaded());
    this.picture.addEventListener("error", () => this.#failed());
  }

  /** Show nothing yet, as the image with this index. */
  clear(index, known) {
    this.index = index;
    this.element.hidden = !known;
    if (!this.#drawn) return;
    this.#drawn = null;
    // Without its address the picture that is on its way is ended.
    this.picture.removeAttribute("src");
    this.frame.hidden = true;
    for (const old of this.frame.querySelectorAll(".over")) old.remove();
    this.name.textContent = this.count.textContent = "";
    this.verdict.hidden = true;
    this.link.removeAttribute("data-image");
    this.link.setAttribute("aria-label", "An image that is being loaded");
  }

  fill(image, { size, show, address }) {
    const drawn = this.#drawn;
    if (drawn?.image === image && drawn.size === size && drawn.show === show) return;
    this.#drawn = { image, size, show };
    this.#place(image, size);
    this.frame.hidden = false;
    this.frame.classList.toggle("absent", !image.there || Boolean(image.failed));
    const thumb = image.there ? thumbAddress(image.image) : null;
    if (thumb === null) this.picture.removeAttribute("src");
    else if (this.picture.getAttribute("src") !== thumb) this.picture.src = thumb;
    drawOverlay(this.frame, image, show);
    this.#words(image);
    this.link.href = address(image.image);
    this.link.dataset.image = image.image;
  }

  // In a plan nobody knows the size of an image before it is there: its small picture has its shape.
  #loaded() {
    const drawn = this.#drawn;
    if (!drawn || (drawn.image.width && drawn.image.height)) return;
    drawn.image.shape = { width: this.picture.naturalWidth, height: this.picture.naturalHeight };
    this.#place(drawn.image, drawn.size);
  }

  #failed() {
    if (!this.#drawn) return;
    this.#drawn.image.failed = true;
    this.frame.classList.add("absent");
  }

  // The frame has the exact shape of the image, within a whole pixel: nothing is cut off.
  #place(image, size) {
    const { width, height } = shapeOf(image);
    const scale = Math.min(size.width / width, size.height / height);
    const wide = Math.max(1, Math.round(width * scale));
    const high = Math.max(1, Math.round(height * scale));
    const { style } = this.frame;
    style.width = `${wide}px`;
    style.height = `${high}px`;
    // Whole pixels here, too: between two of them the picture and its lines are blurred.
    style.marginLeft = `${Math.floor((size.width - wide) / 2)}px`;
    style.marginTop = `${Math.floor((size.height - high) / 2)}px`;
  }

  #words(image) {
    const [split, id] = image.image.split("/");
    const verdict = image.review?.[""]?.verdict ?? "";
    const marked = Object.keys(image.review ?? {}).filter((key) => key !== "").length;
    const boxes = counted(image.boxes.length, "box");
    this.name.textContent = id;
    this.count.textContent = image.boxes.length || "";
    this.verdict.hidden = !verdict && !marked;
    this.verdict.className = `verdict ${verdict || "some"}`;
    this.verdict.replaceChildren(verdict ? icon(verdict) : String(marked));
    const words = [`${id}, ${split}`, boxes, image.there ? "" : "not there", verdict && `marked ${verdict}`, marked && `${marked} of its annotations marked`];
    this.link.setAttribute("aria-label", words.filter(Boolean).join(", "));
  }
}
