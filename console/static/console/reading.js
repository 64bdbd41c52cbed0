// Reading the same doors over and over: what did not change is not taken again, what cannot be read stays as it was.

import { api } from "./session.js";
import { serverNow } from "./page.js";

/** `paint()` runs after every answer that differs from the one before under its name; `heard_at` is when the server last answered. */
export function reader(paint) {
  const seen = new Map();
  const self = {
    heard_at: 0,
    /** Raises nothing: the page shows how old its figures are. `onFault(error)` is told of what could not be read. */
    async read(name, path, take, { load = api, onFault = null } = {}) {
      try {
        const answer = await load(path);
        self.heard_at = serverNow();
        const text = JSON.stringify(answer);
        if (seen.get(name) === text) return;
        seen.set(name, text);
        take(answer);
        paint();
      } catch (error) {
        if (onFault) onFault(error);
        else console.warn(name, error.message);
      }
    },
    /** All answers, or the one of this name, will be taken and painted anew. */
    forget(name = null) {
      if (name === null) seen.clear();
      else seen.delete(name);
    },
    reset() { seen.clear(); self.heard_at = 0; },
  };
  return self;
}

/** Every page of a list, at most `most`. */
export async function pages(path, most = 8) {
  const found = [];
  for (let page = path, n = 0; page && n < most; n += 1) {
    const answer = await api(page);
    found.push(...rows(answer));
    page = answer.next ? answer.next.split("/api/v1/")[1] : "";
  }
  return found;
}

export const rows = (answer) => answer.items ?? answer.results ?? answer;
