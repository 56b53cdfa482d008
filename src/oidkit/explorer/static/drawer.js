// The panel of filters: beside the images where there is room, over them where there is not.

import { icon } from "./dom.js";

const narrow = matchMedia("(max-width: 799px)");

export class Drawer {
  /** `covers` is called with whether the panel lies over the images now. */
  constructor(covers) {
    this.covers = covers;
    this.panel = document.getElementById("filters");
    this.button = document.getElementById("filters-button");
    this.close = document.getElementById("filters-close");
    this.button.replaceChildren(icon("filters"));
    this.close.replaceChildren(icon("close"));
    this.button.addEventListener("click", () => this.toggle());
    this.close.addEventListener("click", () => this.toggle(false));
    document.getElementById("backdrop").addEventListener("click", () => this.toggle(false));
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !narrow.matches) return;
      event.preventDefault();
      this.toggle(false);
    });
    narrow.addEventListener("change", () => this.#show(!narrow.matches));
    this.#show(!narrow.matches);
  }

  get open() {
    return document.body.dataset.filters === "open";
  }

  toggle(open = !this.open) {
    if (open === this.open) return;
    this.#show(open);
    if (open) this.panel.focus();
    else this.button.focus();
  }

  #show(open) {
    document.body.dataset.filters = open ? "open" : "closed";
    this.button.setAttribute("aria-expanded", String(open));
    this.covers(open && narrow.matches);
  }
}
