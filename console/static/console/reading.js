// What a page has read, part by part: what was not read is not nothing, and what cannot be read any more keeps its age.

import { api, Refused } from "./session.js";
import { serverNow, tickPage } from "./page.js";

const WORST = ["read", "refused", "old", "unread", "failed"];
const OF_THE_LINE = new Set([401, 408, 425, 429]); // they say nothing of the part that was asked for

const aged = (read_at, within_s) => serverNow() - read_at > within_s * 1000;

/**
 * `paint()` runs after every answer that differs from the one before under its name, and when a part comes to stand otherwise.
 * A part whose last answer is older than `most_s` seconds (or its own `within_s`) no longer counts as present.
 */
export function reader(paint, most_s = 30) {
  const parts = new Map(); // name -> {path, within_s, text, read_at, fault, refused, busy, again}
  let stood = "";

  function standOf(part) {
    const { read_at = 0, fault = null, refused = false, within_s = most_s } = part ?? {};
    if (refused) return { state: "refused", read_at, why: fault.said, status: fault.status };
    if (fault) return { state: "failed", read_at, why: fault.said ?? "" };
    if (!read_at) return { state: "unread", read_at, why: "" };
    return { state: aged(read_at, within_s) ? "old" : "read", read_at, why: "" };
  }

  const self = {
    names: () => [...parts.keys()],
    /** How these parts stand, as the worst of them: its state (WORST), when the oldest was read (ms; 0: one never was), why not. */
    stand(...names) {
      const stands = names.map((name) => standOf(parts.get(name)));
      const [worst] = [...stands].sort((a, b) => WORST.indexOf(b.state) - WORST.indexOf(a.state));
      const heard = stands.filter((stand) => stand.state !== "refused").map((stand) => stand.read_at);
      return { ...(worst ?? standOf(null)), read_at: heard.length ? Math.min(...heard) : 0 };
    },
    /** Never read or too old to go by, while the server should have answered. */
    lost(name) {
      const { state, read_at } = self.stand(name);
      return state === "old" || (state === "failed" && aged(read_at, parts.get(name).within_s));
    },
    /**
     * Asks for a part, once at a time. Raises nothing; `onRefused(error)` when it is not for this reader. Another path under the same name is
     * another question: until it is answered the part is unread, and what was asked before is not taken any more.
     */
    async read(name, path, take, { load = api, onRefused = null, within_s = most_s } = {}) {
      if (parts.get(name)?.path !== path) parts.set(name, { path, within_s });
      const part = parts.get(name);
      part.again = Boolean(part.busy);
      if (part.busy) return;
      part.busy = true;
      let answer = null;
      let fault = null;
      try { answer = await load(path); } catch (error) { fault = error; }
      if (parts.get(name) !== part) return; // signed out, forgotten, or asked for something else meanwhile
      const refused = fault instanceof Refused && fault.status < 500 && !OF_THE_LINE.has(fault.status);
      Object.assign(part, { busy: false, fault, refused });
      let changed = false;
      if (fault) {
        console.warn(name, fault.message);
        if (refused) onRefused?.(fault);
      } else {
        const text = JSON.stringify(answer);
        changed = part.text !== text;
        Object.assign(part, { text, read_at: serverNow() });
        if (changed) take(answer);
      }
      self.show(changed);
      if (part.again) await self.read(name, path, take, { load, onRefused, within_s });
    },
    /** Says on the page how each part stands; paints when one came to stand otherwise, or `anyway`. */
    show(anyway = false) {
      const stands = [...parts.values()].map((part) => standOf(part).state).join();
      if (anyway || stands !== stood) { stood = stands; paint(); }
      tickPage(self);
    },
    /** The part of this name is no longer looked at; without a name, all answers will be taken and painted anew. */
    forget(name = null) {
      if (name === null) for (const part of parts.values()) part.text = null;
      else parts.delete(name);
    },
    reset() { parts.clear(); },
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
