// The state of the page, and the query of its address that holds it.

export const FLAGS = ["occluded", "truncated", "group_of", "depiction", "inside"];
export const RANGES = ["size", "boxes", "confidence"];
export const SHOWN = ["boxes", "masks", "clicks", "points", "relationships"];
const LISTS = ["any", "all", "none", "split", "label", "review", ...FLAGS];
const FILTERS = [...LISTS, ...RANGES, "place", "text"];

const listOf = (value) => (value ? value.split(",").filter(Boolean) : []);

/** Read a query; what it does not know it leaves out. `show` is null where nothing is chosen. */
export function parse(search) {
  const query = new URLSearchParams(search);
  const state = {
    place: query.get("place") ?? "",
    text: query.get("text") ?? "",
    image: query.get("image") ?? "",
    page: query.get("page") === "charts" ? "charts" : "grid",
    show: query.has("show") ? listOf(query.get("show")).filter((word) => SHOWN.includes(word)) : null,
  };
  for (const name of LISTS) state[name] = listOf(query.get(name));
  for (const name of RANGES) state[name] = query.get(name) ?? "";
  return state;
}

// Slashes and commas may stand in a query as they are: MIDs stay readable.
const encode = (value) => encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%2C", ",");

function join(pairs) {
  return pairs.map(([name, value]) => `${name}=${encode(value)}`).join("&");
}

function filterPairs(state) {
  return FILTERS.map((name) => [name, String(state[name])]).filter(([, value]) => value !== "");
}

/** The filters alone: what the server is asked with. */
export const filterQuery = (state) => join(filterPairs(state));

/** The whole state. */
export function format(state) {
  const pairs = filterPairs(state);
  if (state.show !== null) pairs.push(["show", state.show.join(",")]);
  if (state.page !== "grid") pairs.push(["page", state.page]);
  if (state.image) pairs.push(["image", state.image]);
  return join(pairs);
}

/** The same state without any filter. */
export function withoutFilters() {
  const empty = { place: "", text: "" };
  for (const name of LISTS) empty[name] = [];
  for (const name of RANGES) empty[name] = "";
  return empty;
}

/** "0.1-0.5" as [0.1, 0.5]; a side that is not there is null. */
export function rangeOf(text) {
  const [from, to] = text.split("-");
  const side = (value) => (value === undefined || value.trim() === "" || Number.isNaN(Number(value)) ? null : Number(value));
  return [side(from), side(to)];
}

export function rangeText(from, to) {
  return from === null && to === null ? "" : `${from ?? ""}-${to ?? ""}`;
}

export function toggled(list, word) {
  return list.includes(word) ? list.filter((other) => other !== word) : [...list, word];
}

/** Holds the state, keeps the address in step with it, and tells who listens. */
export class Store {
  #listeners = [];
  #afterBack = null;

  constructor() {
    this.state = parse(location.search);
    addEventListener("popstate", () => this.#moved());
  }

  listen(listener) {
    this.#listeners.push(listener);
  }

  address(patch) {
    return `?${format({ ...this.state, ...patch })}`;
  }

  /** Change the state; "push" makes a step that the Back button goes back. */
  set(patch, how = "replace") {
    const next = { ...this.state, ...patch };
    if (format(next) === format(this.state)) return;
    const address = format(next) ? `?${format(next)}` : location.pathname;
    if (how === "push") history.pushState({ opened: Boolean(patch.image) }, "", address);
    else history.replaceState(history.state, "", address);
    this.#take(next);
  }

  /** Close the open image: by going back where opening it was a step, so that Back does not open it again. */
  closeImage() {
    if (!this.state.image) return;
    if (!history.state?.opened) return this.set({ image: "" }, "push");
    this.#afterBack = { ...this.state, image: "" };
    history.back();
  }

  #moved() {
    const next = this.#afterBack ?? parse(location.search);
    if (this.#afterBack) {
      // What was switched while the image was open stays switched.
      this.#afterBack = null;
      history.replaceState(history.state, "", format(next) ? `?${format(next)}` : location.pathname);
    }
    this.#take(next);
  }

  #take(next) {
    const before = this.state;
    this.state = next;
    for (const listener of this.#listeners) listener(next, before);
  }
}
