// Bulletins on their way: how far each has come, and who still owes an answer. Red first.

import { api } from "./session.js";
import { clockTime, h, hideTip, refill, s, serverNow, showTip } from "./page.js";
import { either, named, word } from "./words.js";
import { badge, drillMark, folding } from "./warnings.js";
import { audience } from "./audience.js";
import { personName, standing } from "./chain.js";

const TWICE_MS = 1000; // a repaint and a refresh may ask for the same at once
const details = new Map(); // dispatch id -> last answer of its reach, pages of the unanswered joined
const askedAt = new Map(); // dispatch id -> when

export const inForce = (dispatch) => Date.parse(dispatch.expires_at) > serverNow();

/** How many of a dispatch's people still owe what it requires. */
export function owing({ requires, total, opened, confirmed }) {
  return { none: 0, open: total - opened }[requires] ?? total - confirmed;
}

export function showDispatches(box, dispatches, onStreet) {
  const ranked = [...dispatches].sort((a, b) => inForce(b) - inForce(a) || b.urgency - a.urgency || b.id - a.id);
  refill(box, ranked.length ? ranked.map((dispatch) => card(dispatch, onStreet)) : h("p.empty", null, word("none_sent")));
}

/** Reads the reach of every unfolded dispatch again. */
export async function refreshUnfolded(box, onStreet) {
  const open = [...box.querySelectorAll("details[open][data-dispatch]")].map((node) => Number(node.dataset.dispatch));
  for (const id of open) await unfold(id, onStreet);
}

function card(dispatch, onStreet) {
  const live = inForce(dispatch);
  const owed = owing(dispatch);
  const fold = folding(`reach-${dispatch.id}`, h("summary", null,
    h("span", { class: live && owed ? "bad" : "" }, `${word("unanswered")} `, h("b", null, String(owed))),
    dispatch.nobody.length && live ? h("span.bad", null, ` · ${word("nobody")} `, h("b", null, String(dispatch.nobody.length))) : null), () => [body(dispatch.id, onStreet)]);
  fold.dataset.dispatch = dispatch.id;
  return h("article.card", { class: `edge-${live ? (dispatch.drill ? "drill" : dispatch.level) : "past"}`, id: `dispatch-${dispatch.id}` },
    h("h3", null, badge(dispatch.level), drillMark(dispatch.drill), ` ${either(dispatch.title_zh, dispatch.title_en)} `),
    h("p.quiet", null, clockTime(dispatch.sent_at),
      dispatch.deadline_at ? ` · ${word("deadline")} ${clockTime(dispatch.deadline_at)}` : "",
      live ? ` · ${word("in_force")} ${clockTime(dispatch.expires_at)}` : ` · ${word("expired")}`),
    reachBar(dispatch), counts(dispatch), fold);
}

/** The parts add up to the total: each person stands where he has come to. */
export function reachBar({ total, acting, confirmed, opened, shown, delivered, pushed, waiting, failed }) {
  const parts = [["failed", failed], ["waiting", waiting], ["pushed", pushed - delivered], ["delivered", delivered - shown], ["shown", shown - opened], ["opened", opened - confirmed], ["confirmed", confirmed - acting], ["acting", acting]];
  let x = 0;
  const rects = parts.filter(([, people]) => people > 0).map(([key, people]) => {
    const width = (people / Math.max(1, total)) * 100;
    const rect = s("rect", { class: `part-${key}`, x, y: 0, width, height: 10, onmousemove: (event) => showTip([`${word(key)} ${people} / ${total}`], event), onmouseleave: hideTip });
    x += width;
    return rect;
  });
  return s("svg.reach", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": parts.map(([key, people]) => `${word(key)} ${people}`).join(", ") }, rects);
}

export function counts(dispatch) {
  const keys = ["total", "pushed", "delivered", "shown", "opened", "confirmed", "acting", "failed", "waiting", "escalated", "exhausted"];
  const grave = new Set(["failed", "exhausted"]);
  return h("ul.counts", null, keys.filter((key) => dispatch[key] || ["total", "pushed", "confirmed"].includes(key)).map((key) =>
    h("li", { class: `count-${key}${grave.has(key) && dispatch[key] ? " bad" : ""}` }, h("b", null, String(dispatch[key])), word(key))));
}

function body(id, onStreet) {
  const box = h("div", { id: `reach-body-${id}` }, h("p.quiet", null, word("loading")));
  if (details.has(id)) fillBody(box, id, onStreet);
  unfold(id, onStreet);
  return box;
}

/** Reads a dispatch's reach with as many pages of the unanswered as are on the page, or one `more`. */
async function unfold(id, onStreet, more = false) {
  if (!more && performance.now() - (askedAt.get(id) ?? -Infinity) < TWICE_MS) return;
  askedAt.set(id, performance.now());
  const pages = (details.get(id)?.pages ?? 1) + (more ? 1 : 0);
  try {
    const answer = await api(`console/dispatches/${id}`);
    for (let page = 1; page < pages && answer.next; page += 1) {
      const further = await api(`console/dispatches/${id}?after=${answer.next}`);
      answer.unanswered = answer.unanswered.concat(further.unanswered);
      answer.next = further.next;
    }
    details.set(id, { ...answer, pages });
  } catch (error) {
    const waiting = document.getElementById(`reach-body-${id}`);
    if (waiting && !details.has(id)) waiting.replaceChildren(h("p.bad", null, error.message));
    return;
  }
  const box = document.getElementById(`reach-body-${id}`);
  if (box) fillBody(box, id, onStreet);
}

function fillBody(box, id, onStreet) {
  const reach = details.get(id);
  refill(box,
    reach.nobody.length ? h("section.silent-list", null, h("h4.bad", null, `${word("nobody")} ${reach.nobody.length}`),
      h("div.chips", null, reach.nobody.map((row) => h("button.chip.badge-emergency", { type: "button", id: `silent-${id}-${row.code}`, onclick: () => onStreet(row.code) }, `${row.name} ${row.total}`)))) : null,
    table(word("by_district"), reach.districts),
    folding(`streets-${id}`, h("summary", null, `${word("by_street")} ${reach.streets.length}`), () => [table("", reach.streets, onStreet, id)]),
    unansweredList(`people-${id}`, reach.unanswered, reach.unanswered_total),
    reach.next ? h("button", { type: "button", id: `more-${id}`, onclick: () => unfold(id, onStreet, true) }, word("more")) : null,
    audience(id));
}

export function table(title, rows, onStreet, id) {
  const keys = ["total", "pushed", "opened", "confirmed", "failed", "no_device"];
  return h("table", null,
    h("thead", null, h("tr", null, h("th", null, title), keys.map((key) => h("th.number", null, word(key))))),
    h("tbody", null, rows.map((row) => h("tr", { class: row.total && !row.covered ? "bad" : "" },
      h("td", null, onStreet ? h("button.plain", { type: "button", id: `row-${id}-${row.code}`, onclick: () => onStreet(row.code) }, row.name) : row.name),
      keys.map((key) => h("td.number", { class: key === "no_device" && row[key] ? "bad" : "" }, String(row[key])))))));
}

/** Those who owe an answer; a failed call-out stands out. */
export function unansweredList(id, people, total) {
  if (!people.length) return h("p.good", null, word("all_answered"));
  return h("section", null, h("h4", null, `${word("unanswered")} ${total}`),
    h("div.scroll", { id, tabindex: 0 }, h("table", null,
      h("thead", null, h("tr", null, ["name", "post", "state", "rung"].map((key) => h("th", null, word(key))))),
      h("tbody", null, people.map((person) => h("tr", { class: person.state === "failed_perm" || person.climb?.state === "exhausted" ? "bad" : "" },
        h("td.whole", null, personName(`${id}-${person.id}`, person), h("small", null, person.masked_phone)),
        h("td", null, `${person.region_name} ${named("duty", person.duty)}`), h("td", null, standing(person)), h("td.whole", null, rungOf(person.climb))))))));
}

function rungOf(climb) {
  if (!climb) return "–";
  const last = climb.rung ? named("errand", climb.rungs[climb.rung - 1]) : "";
  const next = climb.due_at ? ` → ${clockTime(climb.due_at)}` : "";
  return `${climb.rung}/${climb.rungs.length} ${last} ${climb.state === "climbing" ? next : named("climb", climb.state)}`;
}
