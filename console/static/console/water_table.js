// The levels as rows, the gravest first: what is over, what will soon be, what is doubted, then what is calm.

import { clockTime, fixed, h, span } from "./page.js";
import { named, word } from "./words.js";

export const STANDS = ["check", "design", "over", "near", "stale", "unknown", "normal"];
const STALE_S = 3600; // the server's own mark; here for what grew old while nothing was heard
const SOON_S = 6 * 3600; // a calm post that reaches its limit sooner stands above the doubted ones
const ARROWS = { rising: "↑", steady: "→", falling: "↓" };

/** How a post stands now, `more_s` after its item was true: what grew old meanwhile is stale, whatever was said. */
export const standOf = (item, more_s) => (item.age_s !== null && item.age_s + more_s > STALE_S ? "stale" : item.status);

const soon = (item) => item.time_to_limit_s !== null && item.time_to_limit_s <= SOON_S;

/** Lower is graver. Within one status: the sooner at its limit, then the higher over it. */
export function byDanger(more_s) {
  const rank = (item) => { const stand = standOf(item, more_s); return stand === "normal" && soon(item) ? STANDS.indexOf("near") + 0.5 : STANDS.indexOf(stand); };
  const over = (item) => item.over_m ?? -Infinity;
  return (a, b) => {
    const grave = rank(a) - rank(b);
    if (grave) return grave;
    const first = rank(a) < STANDS.indexOf("near") ? over(b) - over(a) : 0; // past a limit: by how much
    return first || (a.time_to_limit_s ?? Infinity) - (b.time_to_limit_s ?? Infinity) || over(b) - over(a) || a.station.localeCompare(b.station);
  };
}

const HEADS = [["c-stand", "state"], ["c-name", "post_name"], ["c-place", "place"], ["c-level", "level_m"], ["c-limit", "limit_m"], ["c-over", "over_below"], ["c-rate", "rate"], ["c-soon", "to_limit"], ["c-age", "age"]];

export const tableHead = () => h("thead", null, h("tr", null, HEADS.map(([cls, key]) => h("th", { class: cls, scope: "col" }, word(key)))));

/** One post. `place` says where it lies, `made_up` that it is synthetic; a press calls `open(code)`. */
export function row(item, { place, made_up, more_s, chosen, open }) {
  const stand = standOf(item, more_s);
  const blind = stand === "stale" || item.level_m === null;
  return h("tr", { class: `stand-${stand}${chosen ? " chosen" : ""}${blind ? " blind" : ""}`, "data-code": item.station },
    h("td.c-stand", null, h("span.stand", null, named("stand", stand)), item.quality && item.quality !== "good" ? h("small.doubted", null, word("doubtful")) : null),
    h("td.c-name", null, h("span.kind", { class: `kind-${item.kind}`, title: word(item.kind) }),
      h("button.plain", { type: "button", id: `post-${item.station}`, "aria-pressed": String(chosen), onclick: () => open(item.station) }, item.name),
      item.gated === false ? h("small.mark", { title: word("ungated_note") }, word("ungated")) : null,
      made_up ? h("small.mark.made-up", { title: word("synthetic_mark") }, word("synthetic_short")) : null),
    h("td.c-place", { title: place }, place),
    h("td.c-level", null, h("b", null, fixed(item.level_m, 2)), h("small", null, item.datum)),
    h("td.c-limit", null, item.limit_m === null ? "–" : [h("small", null, named("limit", item.limit_kind)), fixed(item.limit_m, 2)]),
    h("td.c-over", { class: item.over_m > 0 ? "above" : "" }, item.over_m === null ? "–" : signed(item.over_m)),
    h("td.c-rate", { class: blind ? "" : `rate-${item.trend}` }, item.rate_m_per_h === null ? "–" : [h("i", null, ARROWS[item.trend]), signed(item.rate_m_per_h)]),
    h("td.c-soon", { "data-head": word("to_limit"), class: soon(item) ? "near-limit" : "" }, item.time_to_limit_s === null ? "–" : [span(item.time_to_limit_s), item.next_limit_kind === item.limit_kind ? null : h("small", null, named("limit", item.next_limit_kind))]),
    h("td.c-age", { "data-head": word("age"), title: clockTime(item.observed_at) }, item.age_s === null ? "–" : h("span", { "data-age": item.age_s }, span(item.age_s + more_s))));
}

/** "+0.35", "−1.20", "0.00": what rounds to nothing has no sign. */
export function signed(value) {
  const size = fixed(Math.abs(value), 2);
  return size === "0.00" ? size : `${value > 0 ? "+" : "−"}${size}`;
}
