// From the place of the scroll bar to a place in the list.
//
// A browser draws nothing beyond some 16 to 33 million pixels, and nine million images need ten
// times that. So a list that is higher than LIMIT is compressed: the bar runs over LIMIT pixels.
// Near both ends a pixel is a pixel; between them a jump of the bar is stretched, while small
// steps (wheel, keys, touch) still move by their own length. What these small steps add up to is
// mended when the scrolling rests (`rest`).

const LIMIT = 12_000_000;
const END = 500_000;

export class Scrolling {
  height = 0;
  #content = 0;
  #view = 0;
  #shift = 0;
  #last = 0;

  get compressed() {
    return this.#content > LIMIT;
  }

  /** What is to be added to a place of the bar to have the place in the list. */
  get shift() {
    return this.#shift;
  }

  resize(content, view) {
    this.#content = content;
    this.#view = view;
    this.height = Math.min(content, LIMIT);
    if (!this.compressed) this.#shift = 0;
  }

  /** The place in the list for where the bar is now. */
  at(bar) {
    if (!this.compressed) return bar;
    if (Math.abs(bar - this.#last) > 2 * this.#view) this.#shift = this.#stretched(bar) - bar;
    this.#last = bar;
    return Math.max(0, Math.min(bar + this.#shift, this.#content - this.#view));
  }

  /** Where the bar has to be for a place in the list; takes it as said. */
  barFor(place) {
    const wanted = Math.max(0, Math.min(place, this.#content - this.#view));
    if (!this.compressed) return wanted;
    const bar = Math.round(this.#shrunk(wanted));
    this.#shift = wanted - bar;
    this.#last = bar;
    return bar;
  }

  get #ratio() {
    return (this.#content - this.#view - 2 * END) / (LIMIT - this.#view - 2 * END);
  }

  #stretched(bar) {
    const fromEnd = LIMIT - this.#view - bar;
    if (bar <= END) return bar;
    if (fromEnd <= END) return this.#content - this.#view - fromEnd;
    return END + (bar - END) * this.#ratio;
  }

  #shrunk(place) {
    const fromEnd = this.#content - this.#view - place;
    if (place <= END) return place;
    if (fromEnd <= END) return LIMIT - this.#view - fromEnd;
    return END + (place - END) / this.#ratio;
  }
}
