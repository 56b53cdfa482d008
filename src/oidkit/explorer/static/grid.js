// The grid of images. Only the rows on the screen, and a few around them, are there at all: a row
// that leaves is used again for one that comes. A frame of scrolling reads one number (the place
// of the bar) and moves rows; nothing in it makes the browser lay out the page.

import { el, announce, problem } from "./dom.js";
import { Cell } from "./cell.js";
import { Pages } from "./pages.js";
import { Scrolling } from "./scrolling.js";

const AROUND = 2; // rows above and below the screen
const GAP = 8;
const CAPTION = 22;
const WIDTH = 190; // that a cell should at least have
const FAST = 4; // pixels a millisecond: beyond it nothing is loaded
const SETTLE = 60; // milliseconds without fast scrolling until it is
const REST = 200;

export class Grid {
  total = 0;
  active = 0;
  #rows = new Map();
  #spare = [];
  #columns = 1;
  #rowHeight = 100;
  #size = { width: 100, height: 75 };
  #view = { width: 0, height: 0 };
  #scrolling = new Scrolling();
  #frame = 0;
  #seen = { place: 0, time: 0, shift: 0 };
  #fast = false;
  #unseen = false;
  #awaited = false;
  #settle = 0;
  #rest = 0;

  /** `look` gives what is drawn: `show()`, `address(image)`; `open` is called with an image. */
  constructor(root, canvas, look, open) {
    this.root = root;
    this.canvas = canvas;
    this.look = look;
    this.open = open;
    this.pages = new Pages(() => this.#later(), (error) => problem(`Images cannot be loaded: ${error.message}`));
    root.addEventListener("scroll", () => this.#later(), { passive: true });
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("focusin", (event) => this.#focused(event));
    new ResizeObserver(([entry]) => this.#resized(entry.contentRect)).observe(root);
  }

  /** Show another list, from its start. */
  async load(query) {
    this.root.setAttribute("aria-busy", "true");
    let total = 0;
    try {
      total = await this.pages.start(query);
    } catch (error) {
      this.root.removeAttribute("aria-busy");
      throw error;
    }
    if (total === null) return null;
    this.root.removeAttribute("aria-busy");
    this.total = total;
    this.active = 0;
    // With the cells that are dropped the focus goes, too.
    this.#awaited ||= this.root.contains(document.activeElement);
    this.#drop();
    this.#measure();
    this.#goTo(0);
    this.#draw();
    this.#settleFocus();
    return total;
  }

  /** Draw again what is on the screen, after another overlay or a review. */
  redraw() {
    this.#later();
  }

  /** Bring an image into view and give it the focus. */
  focus(index) {
    this.#awaited = true;
    if (!this.total) return;
    this.active = Math.max(0, Math.min(index, this.total - 1));
    const top = Math.floor(this.active / this.#columns) * this.#rowHeight;
    const place = this.#scrolling.at(this.root.scrollTop);
    if (top < place) this.#goTo(top);
    else if (top + this.#rowHeight > place + this.#view.height) this.#goTo(top + this.#rowHeight + GAP - this.#view.height);
    this.#fast = false;
    this.#draw();
    this.#cellOf(this.active)?.link.focus({ preventScroll: true });
    this.#awaited = !this.root.contains(document.activeElement);
  }

  // An image that was to have the focus before it was there, or before it was in sight, gets it
  // now, unless the focus has gone somewhere else.
  #settleFocus() {
    const free = document.activeElement === null || document.activeElement === document.body;
    if (this.#awaited && this.#view.width && free) this.focus(this.active);
  }

  /** The image with the focus, if one has it. */
  get focused() {
    return this.root.contains(document.activeElement) ? document.activeElement.dataset.image : undefined;
  }

  #resized({ width, height }) {
    // Out of sight it has no size; its place is set again when it comes back.
    this.#unseen ||= !width;
    if (!width) return;
    const kept = this.#view.width === Math.floor(width);
    const place = this.#unseen ? this.#seen.place : this.#scrolling.at(this.root.scrollTop);
    const top = Math.floor(place / this.#rowHeight) * this.#columns;
    this.#view = { width: Math.floor(width), height: Math.floor(height) };
    if (!kept) this.#drop();
    this.#measure();
    if (!kept) this.#goTo(Math.floor(top / this.#columns) * this.#rowHeight);
    else if (this.#unseen) this.#goTo(place);
    this.#unseen = false;
    this.#draw();
    this.#settleFocus();
  }

  #measure() {
    const inner = this.#view.width - 2 * GAP;
    const wanted = this.#view.width < 500 ? 2 : Math.floor((inner + GAP) / (WIDTH + GAP));
    this.#columns = Math.max(1, wanted);
    const width = Math.floor((inner - GAP * (this.#columns - 1)) / this.#columns);
    this.#size = { width, height: Math.round(width * 0.75) };
    this.#rowHeight = this.#size.height + CAPTION + GAP;
    const rows = Math.ceil(this.total / this.#columns);
    this.#scrolling.resize(rows * this.#rowHeight + GAP, this.#view.height);
    this.canvas.style.height = `${this.total ? this.#scrolling.height : 0}px`;
    this.root.setAttribute("aria-rowcount", rows);
    this.root.setAttribute("aria-colcount", this.#columns);
    this.root.style.setProperty("--cell", `${width}px`);
    this.root.style.setProperty("--mat-height", `${this.#size.height}px`);
  }

  #goTo(place) {
    this.root.scrollTop = this.#scrolling.barFor(place);
    this.#seen.place = place;
  }

  #later() {
    this.#frame ||= requestAnimationFrame((time) => {
      this.#frame = 0;
      this.#pace(time);
      this.#draw();
    });
  }

  // How fast it goes; what rushes by is not loaded, only what is there when it settles.
  #pace(time) {
    const place = this.#scrolling.at(this.root.scrollTop);
    const speed = Math.abs(place - this.#seen.place) / Math.max(1, time - this.#seen.time);
    this.#seen.place = place;
    this.#seen.time = time;
    if (speed > FAST) {
      this.#fast = true;
      clearTimeout(this.#settle);
      this.#settle = setTimeout(() => {
        this.#fast = false;
        this.#later();
      }, SETTLE);
    }
    if (!this.#scrolling.compressed) return;
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#goTo(this.#scrolling.at(this.root.scrollTop)), REST);
  }

  #draw() {
    if (!this.#view.width || !this.total) return;
    const place = this.#scrolling.at(this.root.scrollTop);
    const rows = Math.ceil(this.total / this.#columns);
    const first = Math.max(0, Math.floor(place / this.#rowHeight) - AROUND);
    const last = Math.min(rows - 1, Math.floor((place + this.#view.height) / this.#rowHeight) + AROUND);
    this.#release(first, last);
    const moved = this.#seen.shift !== this.#scrolling.shift;
    this.#seen.shift = this.#scrolling.shift;
    for (let row = first; row <= last; row++) {
      if (!this.#rows.has(row)) this.#acquire(row);
      else if (moved) this.#move(row);
    }
    if (!this.#fast) this.pages.want(first * this.#columns, Math.min(this.total, (last + 1) * this.#columns) - 1);
    this.#fill();
    this.#tabStop(Math.ceil(place / this.#rowHeight) * this.#columns);
  }

  #release(first, last) {
    for (const [row, made] of this.#rows) {
      if (row >= first && row <= last) continue;
      // The row with the focus stays, or the keyboard would lose its place.
      if (made.element.contains(document.activeElement)) continue;
      this.#rows.delete(row);
      made.element.hidden = true;
      for (const cell of made.cells) cell.clear(-1, false);
      this.#spare.push(made);
    }
  }

  #acquire(row) {
    const made = this.#spare.pop() ?? this.#make();
    this.#rows.set(row, made);
    made.element.hidden = false;
    made.element.setAttribute("aria-rowindex", row + 1);
    made.cells.forEach((cell, column) => {
      const index = row * this.#columns + column;
      cell.clear(index, index < this.total);
    });
    this.#move(row);
  }

  #make() {
    const cells = Array.from({ length: this.#columns }, () => new Cell());
    cells.forEach((cell, column) => cell.element.setAttribute("aria-colindex", column + 1));
    const element = el("div", { role: "row", class: "row" }, ...cells.map((cell) => cell.element));
    this.canvas.append(element);
    return { element, cells };
  }

  #move(row) {
    const top = Math.round(row * this.#rowHeight + GAP - this.#scrolling.shift);
    this.#rows.get(row).element.style.transform = `translateY(${top}px)`;
  }

  #fill() {
    const look = { size: this.#size, show: this.look.show(), address: this.look.address };
    for (const { cells } of this.#rows.values()) {
      for (const cell of cells) {
        const image = cell.index >= 0 && cell.index < this.total ? this.pages.get(cell.index) : undefined;
        if (image && !(this.#fast && !cell.link.dataset.image)) cell.fill(image, look);
      }
    }
  }

  // One cell is reached by Tab: the active one, or the first on the screen where that is not there.
  #tabStop(visible) {
    const stop = this.#cellOf(this.active) ?? this.#cellOf(visible) ?? this.#cellOf(0);
    if (this.stop === stop?.link) return;
    this.stop?.setAttribute("tabindex", "-1");
    this.stop = stop?.link;
    this.stop?.setAttribute("tabindex", "0");
  }

  #cellOf(index) {
    return this.#rows.get(Math.floor(index / this.#columns))?.cells[index % this.#columns];
  }

  #drop() {
    for (const { element } of this.#rows.values()) element.remove();
    for (const { element } of this.#spare) element.remove();
    this.#rows.clear();
    this.#spare = [];
    this.stop = undefined;
  }

  #cellAt(target) {
    const link = target.closest?.(".cell-link");
    if (!link) return undefined;
    for (const { cells } of this.#rows.values()) {
      for (const cell of cells) if (cell.link === link) return cell;
    }
    return undefined;
  }

  #focused(event) {
    const cell = this.#cellAt(event.target);
    if (!cell) return;
    this.active = cell.index;
    this.#tabStop(cell.index);
  }

  #click(event) {
    const cell = this.#cellAt(event.target);
    // With a modifier the browser opens the address in a tab or window of its own.
    if (!cell || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.active = cell.index;
    if (cell.link.dataset.image) this.open(cell.link.dataset.image);
  }

  #key(event) {
    if (event.ctrlKey && event.key !== "Home" && event.key !== "End") return;
    if (event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.#view.height / this.#rowHeight)) * this.#columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns, ArrowDown: this.#columns, PageUp: -page, PageDown: page };
    let to = event.key in steps ? this.active + steps[event.key] : null;
    if (event.key === "Home") to = 0;
    if (event.key === "End") to = this.total - 1;
    if (to === null) return;
    event.preventDefault();
    // Up from the first row and down from the last one lead nowhere, not to another column.
    if (Math.abs(to - this.active) === this.#columns && (to < 0 || to >= this.total)) return;
    this.focus(to);
    if (event.key === "Home" || event.key === "End") announce(`Image ${this.active + 1} of ${this.total}`);
  }
}
