// What the server is asked. All addresses are relative: the page lies below its token.

async function answer(response) {
  if (response.ok) return response.json();
  let said = "";
  try {
    const body = await response.json();
    said = body.error ?? body.detail ?? "";
  } catch {
    // Not JSON: the number says enough.
  }
  throw new Error(said || `the server answered ${response.status}`);
}

const get = async (path, signal) => answer(await fetch(path, { signal }));

const path = (image) => image.split("/").map(encodeURIComponent).join("/");

export const about = () => get("api/about");
export const images = (query, first, count, signal) =>
  get(`api/images?${query}${query && "&"}first=${first}&count=${count}`, signal);
export const counts = (query, signal) => get(`api/counts?${query}`, signal);
export const charts = (query, signal) => get(`api/charts?${query}`, signal);
export const oneImage = (image, query, signal) => get(`api/image/${path(image)}?${query}`, signal);
export const thumbAddress = (image) => `thumb/${path(image)}.jpg`;
export const imageAddress = (image) => `image/${path(image)}.jpg`;

export async function review(body) {
  return answer(
    await fetch("api/review", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }),
  );
}

/** Wrap a request so that a newer one ends the one before; an ended one gives null. */
export function newest(ask) {
  let running = null;
  return async (...values) => {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    try {
      const result = await ask(...values, mine.signal);
      return mine.signal.aborted ? null : result;
    } catch (error) {
      if (mine.signal.aborted) return null;
      throw error;
    }
  };
}
