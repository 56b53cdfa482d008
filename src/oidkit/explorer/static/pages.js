// The images of a list, fetched a hundred at a time and by need alone.

import { images } from "./api.js";

const SIZE = 100;
const KEPT = 60;

export class Pages {
  #query = "";
  #done = new Map();
  #running = new Map();
  #starting = null;
  #failed = new Set();
  #onArrival;
  #onFailure;

  constructor(onArrival, onFailure) {
    this.#onArrival = onArrival;
    this.#onFailure = onFailure;
  }

  /** Start another list: what was asked for the one before is ended. Gives its length, or null when overtaken. */
  async start(query) {
    this.#starting?.abort();
    const request = new AbortController();
    this.#starting = request;
    try {
      const page = await images(query, 0, SIZE, request.signal);
      if (request.signal.aborted) return null;
      // The pages of the list before stay at hand until here, so that nothing flickers.
      for (const other of this.#running.values()) other.abort();
      this.#running.clear();
      this.#query = query;
      this.#done = new Map([[0, page.images]]);
      this.#failed.clear();
      return page.total;
    } catch (error) {
      if (request.signal.aborted) return null;
      throw error;
    }
  }

  get(index) {
    return this.#done.get(Math.floor(index / SIZE))?.[index % SIZE];
  }

  /** What is known of an image, wherever it stands among the pages at hand. */
  find(name) {
    for (const page of this.#done.values()) {
      const found = page.find((image) => image.image === name);
      if (found) return found;
    }
    return undefined;
  }

  /** Take in what a review has changed; another object, so that its cell is drawn again. */
  replace(name, change) {
    for (const page of this.#done.values()) {
      const at = page.findIndex((image) => image.image === name);
      if (at >= 0) page[at] = { ...page[at], ...change };
    }
  }

  /** Fetch what is not there of these, and end requests for what has left the screen. */
  want(first, last) {
    const from = Math.floor(first / SIZE);
    const to = Math.floor(last / SIZE);
    for (const [page, request] of this.#running) {
      if (page >= from && page <= to) continue;
      request.abort();
      this.#running.delete(page);
    }
    for (let page = from; page <= to; page++) {
      if (this.#done.has(page)) this.#touch(page);
      else if (!this.#running.has(page) && !this.#failed.has(page)) this.#fetch(page);
    }
  }

  // A Map keeps the order of its keys: the page used last is put last, the first one is the oldest.
  #touch(page) {
    const list = this.#done.get(page);
    this.#done.delete(page);
    this.#done.set(page, list);
  }

  async #fetch(page) {
    const request = new AbortController();
    this.#running.set(page, request);
    try {
      const answer = await images(this.#query, page * SIZE, SIZE, request.signal);
      if (request.signal.aborted) return;
      this.#done.set(page, answer.images);
      if (this.#done.size > KEPT) this.#done.delete(this.#done.keys().next().value);
      this.#onArrival(page * SIZE, page * SIZE + SIZE - 1);
    } catch (error) {
      if (request.signal.aborted) return;
      // Not asked for again at once, or a server that is gone would be asked with every frame.
      this.#failed.add(page);
      setTimeout(() => this.#failed.delete(page), 2000);
      this.#onFailure(error);
    } finally {
      if (this.#running.get(page) === request) this.#running.delete(page);
    }
  }
}
