// Brings the parts together: the state changes, and each part shows what has changed.

import * as api from "./api.js";
import { icon, counted, number, plural, problem, announce } from "./dom.js";
import { Store, SHOWN, filterQuery, toggled, withoutFilters } from "./state.js";
import { setClasses } from "./classes.js";
import { Filters } from "./filters.js";
import { drawChips } from "./chips.js";
import { drawCharts } from "./charts.js";
import { Drawer } from "./drawer.js";
import { Grid } from "./grid.js";
import { Keyboard } from "./keyboard.js";
import { Review } from "./review.js";
import { Viewer } from "./image.js";
import { themeSwitch, nextTheme } from "./themeswitch.js";

const by = (id) => document.getElementById(id);

class Explorer {
  #count = api.newest((query, signal) => api.counts(query, signal));
  #chart = api.newest((query, signal) => api.charts(query, signal));

  constructor(about) {
    this.about = about;
    this.store = new Store();
    const look = { show: () => this.shown, address: (image) => this.store.address({ image }) };
    this.grid = new Grid(by("grid"), by("canvas"), look, (image) => this.open(image));
    this.review = about.review ? new Review((name, review) => this.#reviewed(name, review)) : null;
    this.viewer = new Viewer(by("viewer"), {
      show: () => this.shown,
      go: (image) => this.store.set({ image }),
      close: () => this.store.closeImage(),
      listed: (image) => this.grid.pages.find(image),
      review: this.review,
    });
    this.filters = new Filters(by("panel"), this.store, about);
    this.drawer = new Drawer((covered) => this.#cover(covered));
    this.#bar();
    this.keyboard = new Keyboard(this.#keys(), () => Boolean(this.store.state.image));
    this.store.listen((state, before) => this.#changed(state, before));
    this.#changed(this.store.state, null);
  }

  // What is drawn where the address does not say it: boxes, or all that there is without them.
  get shown() {
    return this.store.state.show ?? this.usual;
  }

  #bar() {
    const { about, store } = this;
    this.usual = about.labels.length === 0 || about.labels.includes("boxes") ? ["boxes"] : SHOWN;
    by("name").textContent = about.name;
    by("release").textContent = about.release ?? "";
    by("release").hidden = !about.release;
    by("plan").hidden = about.mode !== "plan";
    document.title = `${about.name} · oid view`;
    by("help-close").replaceChildren(icon("close"));
    by("help-button").replaceChildren(icon("help"));
    by("help-button").addEventListener("click", () => this.keyboard.help());
    themeSwitch(by("theme"));
    by("overlays").addEventListener("click", (event) => {
      const word = event.target.closest("[data-show]")?.dataset.show;
      if (word) this.toggle(word);
    });
    for (const link of document.querySelectorAll("[data-page]")) {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        store.set({ page: link.dataset.page, image: "" }, "push");
      });
    }
  }

  toggle(word) {
    const next = toggled(this.shown, word);
    this.store.set({ show: SHOWN.filter((one) => next.includes(one)) });
    announce(`${word} ${this.shown.includes(word) ? "shown" : "hidden"}`);
  }

  open(image) {
    this.store.set({ image }, "push");
  }

  #changed(state, before) {
    const query = filterQuery(state);
    const filtered = before === null || query !== filterQuery(before);
    this.#marks(state);
    if (filtered) {
      this.filters.update(state);
      drawChips(by("chips"), this.store);
      this.#load(query, before);
    }
    if (state.page === "charts" && (filtered || before?.page !== "charts")) this.#charts(query);
    if (before && String(state.show) !== String(before.show)) {
      this.grid.redraw();
      this.viewer.redraw();
    }
    if (state.image !== (before?.image ?? "") || (filtered && state.image)) this.#image(state, before);
  }

  // The buttons of the bar, and which page is seen.
  #marks(state) {
    for (const button of by("overlays").children) {
      button.setAttribute("aria-pressed", String(this.shown.includes(button.dataset.show)));
    }
    for (const link of document.querySelectorAll("[data-page]")) {
      link.href = this.store.address({ page: link.dataset.page, image: "" });
      if (link.dataset.page === state.page) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    by("images").hidden = state.page !== "grid";
    by("charts").hidden = state.page !== "charts";
    document.body.classList.toggle("image-open", Boolean(state.image));
  }

  async #load(query, before) {
    this.#counted(query);
    try {
      const total = await this.grid.load(query);
      if (total === null) return;
      problem("");
      by("total").textContent = number(total);
      by("total").dataset.total = total;
      by("total-words").textContent = total === this.about.images ? plural(total, "image") : `of ${counted(this.about.images, "image")}`;
      by("empty").hidden = total !== 0;
      if (before) announce(counted(total, "image"));
    } catch (error) {
      problem(`Images cannot be loaded: ${error.message}`);
    }
  }

  async #counted(query) {
    try {
      const counts = await this.#count(query);
      if (counts) this.filters.counted(counts);
    } catch (error) {
      problem(`The counts cannot be loaded: ${error.message}`);
    }
  }

  async #charts(query) {
    by("charts").setAttribute("aria-busy", "true");
    try {
      const answer = await this.#chart(query);
      if (!answer) return;
      drawCharts(by("charts"), this.store, answer);
    } catch (error) {
      problem(`The charts cannot be loaded: ${error.message}`);
    }
    by("charts").removeAttribute("aria-busy");
  }

  async #image(state, before) {
    this.#cover(this.covered);
    if (!state.image) {
      const place = this.viewer.image?.place;
      this.viewer.hide();
      const then = this.afterClosing;
      this.afterClosing = null;
      if (then) then();
      // One that was closed before it came, or is not among the filtered ones, has no place.
      else if (state.page === "grid") this.grid.focus(Number.isInteger(place) ? place : this.grid.active);
      return;
    }
    const opened = this.viewer.root.hidden;
    await this.viewer.show(state.image, state);
    if (opened && before && !this.viewer.root.hidden) this.viewer.title.focus({ preventScroll: true });
  }

  #reviewed(name, review) {
    this.viewer.reviewed(name, review);
    this.grid.pages.replace(name, { review });
    this.grid.redraw();
    this.#counted(filterQuery(this.store.state));
  }

  // A mark by key: of the chosen annotation, of the open image, or of the image with the focus.
  #mark(word) {
    if (this.store.state.image) return void this.viewer.ready(() => this.#markOne(this.viewer.image, this.viewer.chosen, word));
    const focused = this.grid.pages.find(this.grid.focused);
    return focused ? void this.#markOne(focused, "", word) : false;
  }

  #markOne(image, key, word) {
    if (word === "note") return this.review.note(image, key);
    return word === "" ? this.review.save(image, key, { verdict: "" }) : this.review.mark(image, key, word);
  }

  #page(page) {
    this.store.set({ page, image: "" }, "push");
  }

  #find(focus) {
    const find = () => {
      this.drawer.toggle(true);
      focus();
    };
    if (!this.store.state.image) return find();
    this.afterClosing = find;
    this.store.closeImage();
  }

  // What lies below the open image, or below the filters on a narrow window, cannot be reached.
  #cover(covered) {
    this.covered = covered;
    const open = Boolean(this.store.state.image);
    by("main").inert = open || covered;
    by("filters").inert = open;
    by("bar").inert = by("viewer").inert = covered;
  }

  #keys() {
    const overlays = SHOWN.map((word) => ({ keys: [word[0]], where: "everywhere", words: `Show or hide ${word === "clicks" ? "extreme clicks" : word}`, run: () => this.toggle(word) }));
    const { viewer } = this;
    const table = [
      ...overlays,
      { keys: ["/"], where: "everywhere", words: "Find a class", run: () => this.#find(() => this.filters.classFilter.focus()) },
      { keys: ["t"], where: "everywhere", words: "Search titles and narratives", run: () => this.#find(() => this.filters.textInput.focus()) },
      { keys: ["f"], where: "images", words: "Show or hide the filters", run: () => this.drawer.toggle() },
      { keys: ["0"], where: "images", words: "Clear all filters", run: () => this.store.set(withoutFilters()) },
      { keys: ["i"], where: "images", words: "Go to the images", run: () => (this.#page("grid"), this.grid.focus(this.grid.active)) },
      { keys: ["h"], where: "images", words: "Go to the charts", run: () => this.#page("charts") },
      { keys: ["d"], where: "everywhere", words: "Theme: auto, light, dark", run: () => nextTheme(by("theme")) },
      { keys: ["?"], where: "everywhere", words: "These keys", run: () => this.keyboard.help() },
      { keys: [], shown: ["←", "→", "↑", "↓"], where: "images", words: "Go from image to image" },
      { keys: [], shown: ["Page up", "Page down"], where: "images", words: "A screen up or down" },
      { keys: [], shown: ["Home", "End"], where: "images", words: "First and last image" },
      { keys: [], shown: ["Enter"], where: "images", words: "Open the image" },
      { keys: ["ArrowLeft"], shown: ["←"], where: "image", words: "Previous image", run: () => viewer.ready(() => viewer.step("previous")) },
      { keys: ["ArrowRight"], shown: ["→"], where: "image", words: "Next image", run: () => viewer.ready(() => viewer.step("next")) },
      { keys: ["j"], where: "image", words: "Next annotation", run: () => viewer.ready(() => viewer.walk(1)) },
      { keys: ["k"], where: "image", words: "Annotation before", run: () => viewer.ready(() => viewer.walk(-1)) },
      { keys: ["i"], where: "image", words: "Choose the image itself", run: () => viewer.ready(() => viewer.choose("")) },
      { keys: ["z"], where: "image", words: "Larger, around the chosen annotation", run: () => viewer.zoom() },
      { keys: ["Escape"], shown: ["Esc"], where: "image", words: "Back to the images", run: () => this.store.closeImage() },
    ];
    return this.review ? [...table, ...this.#reviewKeys()] : table;
  }

  #reviewKeys() {
    const words = { x: ["bad", "bad"], g: ["good", "good"], u: ["", "not marked"] };
    const keys = ["images", "image"].flatMap((where) =>
      Object.entries(words).map(([key, [word, said]]) => ({ keys: [key], where, words: `Mark as ${said}`, run: () => this.#mark(word) })),
    );
    return [...keys, { keys: ["n"], where: "image", words: "Note", run: () => this.#mark("note") }];
  }
}

async function start() {
  try {
    const about = await api.about();
    setClasses(about.classes);
    // At hand in the console, and for tests.
    window.explorer = new Explorer(about);
  } catch (error) {
    problem(`The explorer does not answer: ${error.message}`);
    throw error;
  }
}

start();
