// Who made the image and under which licence it stands, with links only where they lead to the web.

import { el, counted } from "./dom.js";

const isWeb = (address) => /^https?:\/\//i.test(address ?? "");

function link(address, words) {
  if (!isWeb(address)) return words || address || null;
  return el("a", { href: address, target: "_blank", rel: "noreferrer noopener" }, words || address);
}

/** "CC BY 2.0" for the address of a Creative Commons licence, else the address itself. */
export function licenceName(address) {
  const found = /creativecommons\.org\/licenses\/([a-z-]+)\/([\d.]+)/i.exec(address ?? "");
  return found ? `CC ${found[1].toUpperCase()} ${found[2]}` : address;
}

const turned = (rotation) => (rotation === null || rotation === undefined || rotation === "" ? null : Number(rotation) === 0 ? "none" : `${Number(rotation)}° counter-clockwise`);

export function metadataList(image) {
  const known = image.metadata ?? {};
  const list = el("dl", { class: "metadata", id: "metadata" });
  const add = (term, value) => {
    if (value) list.append(el("dt", {}, term), el("dd", {}, value));
  };
  add("Title", known.Title);
  add("Author", known.Author || known.AuthorProfileURL ? link(known.AuthorProfileURL, known.Author) : "not known");
  add("Licence", known.License ? link(known.License, licenceName(known.License)) : "not known");
  add("Original", known.OriginalLandingURL ? link(known.OriginalLandingURL, isWeb(known.OriginalLandingURL) ? "its page" : "") : null);
  add("Size", image.width && image.height ? `${image.width} × ${image.height} pixels` : null);
  add("Rotation", turned(known.Rotation));
  add("Annotated", [[image.boxes, "box"], [image.masks, "mask"], [image.labels, "label"]].filter(([list]) => list?.length).map(([list, word]) => counted(list.length, word)).join(", "));
  return list;
}
