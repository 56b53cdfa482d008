// The classes of the dataset: their names and colours as the server gives them.

const UNKNOWN = "#8a929c";
const known = new Map();
let ordered = [];

export function setClasses(classes) {
  ordered = classes.map((one) => ({ ...one, name: one.name || one.mid, search: `${one.name ?? ""} ${one.mid}`.toLowerCase() }));
  known.clear();
  for (const one of ordered) known.set(one.mid, one);
}

/** All of them, those with most images first. */
export const allClasses = () => ordered;
export const nameOf = (mid) => known.get(mid)?.name ?? mid;
export const colourOf = (mid) => known.get(mid)?.colour ?? UNKNOWN;
