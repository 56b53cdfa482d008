// Marks of an image and of its annotations: good, bad or none, and a note.

import * as api from "./api.js";
import { el, icon, announce, problem } from "./dom.js";

const SAID = { good: "Marked good", bad: "Marked bad", "": "Mark taken away" };

export class Review {
  #before = Promise.resolve();

  /** `changed` is called with the image and its new review. */
  constructor(changed) {
    this.changed = changed;
  }

  /** Save a change of a mark, after the ones before it: an answer that comes late would undo a newer one. */
  save(image, key, change) {
    this.#before = this.#before.then(() => this.#send(image, key, change));
    return this.#before;
  }

  async #send(image, key, wanted) {
    const before = image.review?.[key] ?? {};
    const change = typeof wanted === "function" ? wanted(before) : wanted;
    const body = { image: image.image, annotation: key, verdict: before.verdict ?? "", note: before.note ?? "", ...change };
    try {
      const { review } = await api.review(body);
      image.review = review;
      problem("");
      announce("verdict" in change ? `${SAID[body.verdict]}; saved` : "Note saved");
      this.changed(image.image, review);
      return true;
    } catch (error) {
      // The alert is read aloud by itself.
      problem(`The review is not saved: ${error.message}`);
      return false;
    }
  }

  /** The buttons for one annotation, or for the image where the key is empty. */
  buttons(image, key, name) {
    const verdict = (word, words) =>
      el("button", { type: "button", class: `mark-button ${word}`, "data-verdict": word, "aria-pressed": "false", "aria-label": `${words}: ${name}`, title: words, onclick: () => this.mark(image, key, word) }, icon(word));
    const note = el("button", { type: "button", class: "mark-button note-button", "data-note": "", "aria-label": `Note: ${name}`, title: "Note", "aria-expanded": "false", onclick: () => this.note(image, key) }, icon("note"));
    const text = el("span", { class: "note-text" });
    const element = el("div", { class: "marks-row", "data-review": key }, verdict("good", "Good"), verdict("bad", "Bad"), note, text);
    this.show(element, image.review?.[key]);
    return element;
  }

  show(element, mark) {
    for (const button of element.querySelectorAll("[data-verdict]")) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === mark?.verdict));
    }
    const text = element.querySelector(".note-text");
    text.textContent = mark?.note ?? "";
    text.hidden = !mark?.note;
  }

  /** Mark, or take the same mark away. */
  mark(image, key, word) {
    return this.save(image, key, (before) => ({ verdict: before.verdict === word ? "" : word }));
  }

  /** Open the field for a note: Enter saves it, Escape leaves it as it was. */
  note(image, key) {
    const row = [...document.querySelectorAll("#viewer [data-review]")].find((one) => one.dataset.review === key);
    if (!row || row.querySelector("input")) return;
    const button = row.querySelector("[data-note]");
    const input = el("input", { type: "text", class: "note-input", maxlength: "500", "aria-label": "Note", placeholder: "Note; Enter saves it" });
    input.value = image.review?.[key]?.note ?? "";
    let open = true;
    const close = async (save) => {
      if (!open) return;
      open = false;
      // At once: keys that are faster than the answer are not for the field.
      input.readOnly = true;
      if (document.activeElement === input) button.focus();
      const note = input.value.trim();
      if (save && note !== (image.review?.[key]?.note ?? "") && !(await this.save(image, key, { note }))) {
        // What could not be saved stays in its field.
        open = true;
        input.readOnly = false;
        if (document.activeElement === button) input.focus();
        return;
      }
      input.remove();
      button.setAttribute("aria-expanded", "false");
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      close(event.key === "Enter");
    });
    input.addEventListener("blur", () => close(true));
    row.append(input);
    button.setAttribute("aria-expanded", "true");
    input.focus();
  }
}
