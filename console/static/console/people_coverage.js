// The red lists: every street and object for which nobody would answer, the worst first, filtered by fault; and every
// person without a phone that could be rung, with the reason.

import { clockTime, h, refill } from "./page.js";
import { named, word } from "./words.js";

export const GRAVE = ["no_responder", "no_live_device", "no_recent_tap", "no_deputy"];
const AT_MOST = 300;
let only = ""; // a fault, or all
let again = () => {};
let unfolded = false; // the people; the page is drawn anew every minute

export function showCoverage(box, found) {
  again = () => showCoverage(box, found);
  const faulty = found.items.filter((item) => item.faults.length);
  const items = faulty.filter((item) => !only || item.faults.includes(only));
  if (!faulty.length) return refill(box, h("p.empty", null, `${found.places} ${word("coverage_places")} · ${word("coverage_none")}`), dark(found.dark));
  return refill(box,
    h("div.filters", null, ["", ...GRAVE].map((fault) => filter(fault, faulty))),
    h("div.scroll", { id: "coverage-scroll", tabindex: 0 }, h("table", null,
      h("thead", null, h("tr", null, h("th"), h("th", null, word("coverage_head")), h("th.number", null, word("coverage_people")), h("th", null, word("coverage_tapped")))),
      h("tbody", null, items.slice(0, AT_MOST).map(row)))),
    items.length > AT_MOST ? h("p.quiet", null, `${word("coverage_shown")} ${AT_MOST} / ${items.length}`) : null,
    dark(found.dark));
}

function dark({ total, people }) {
  if (!total) return h("p.quiet", null, word("dark_none"));
  return h("details", { id: "dark-people", open: unfolded, ontoggle: (event) => { unfolded = event.currentTarget.open; } },
    h("summary", null, h("b.bad", null, `${word("dark_head")} ${total}`)),
    h("div.scroll", { tabindex: 0 }, h("table", null, h("tbody", null, people.map((person) => h("tr", null,
      h("td", null, person.name, h("small", null, ` ${person.masked_phone}`)),
      h("td", null, person.region_name),
      h("td", null, h("span.fault-word.grave", null, named("dark_reason", person.reason)), person.detail ? h("small", null, ` ${person.detail}`) : null),
      h("td", null, person.since ? clockTime(person.since) : "")))))),
    people.length < total ? h("p.quiet", null, `${word("coverage_shown")} ${people.length} / ${total}`) : null);
}

function filter(fault, faulty) {
  const count = fault ? faulty.filter((item) => item.faults.includes(fault)).length : faulty.length;
  return h("button", { type: "button", id: `coverage-${fault || "all"}`, "aria-pressed": String(only === fault), onclick: () => { only = fault; again(); } },
    `${fault ? named("coverage_fault", fault) : word("coverage_all")} ${count}`);
}

function row(item) {
  return h("tr", null,
    h("td", null, `${item.name}`, h("small", null, ` ${named("place_kind", item.kind)}`)),
    h("td", null, item.faults.map((fault) => h("span.fault-word", { class: GRAVE.indexOf(fault) < 2 ? "grave" : "" }, named("coverage_fault", fault)))),
    h("td.number", null, `${item.responders} / ${item.deputies} / ${item.reachable}`),
    h("td", null, item.tapped_at ? clockTime(item.tapped_at) : word("coverage_never")));
}
