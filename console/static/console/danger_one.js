// One warning: its chain of steps, what was said at each, and the very figures a step rests on, computed anew by the server.

import { api } from "./session.js";
import { clockTime, h, percent, refill } from "./page.js";
import { either, named, word } from "./words.js";
import { badge, drillMark, levelNumber, stationReasons, streetReasons } from "./warnings.js";

const VERBS = ["upgrade", "extend", "downgrade", "hold", "cancel"];
let step = null; // id of the event looked at; null: the newest
let why = null; // {id, answer} or {id, fault} of that event
let again = () => {};

export function forgetWhy() {
  [step, why] = [null, null];
}

/** `act(verb)` opens the dialog; without `may` there are no buttons. */
export function showOne(box, warning, may, act) {
  again = () => showOne(box, warning, may, act);
  const event = warning.events.find((one) => one.id === step) ?? warning.events[warning.events.length - 1];
  if (event && why?.id !== event.id) explain(warning, event);
  refill(box,
    h("h2", { tabindex: -1 }, h("span", null, badge(warning.ended_at ? warning.peak_level : warning.level), drillMark(warning.drill), ` ${warning.station?.name ?? warning.region.name} · ${named("hazard", warning.hazard)}`),
      h("small", null, `#${warning.id} · ${clockTime(warning.raised_at)}${warning.ended_at ? `–${clockTime(warning.ended_at)}` : ""}`)),
    h("div.chips", null, warning.streets.filter((street) => levelNumber(street.level)).map((street) => h("span.chip", { class: `badge-${street.level}` }, street.name,
      street.hand ? ` · ${word("hand_until")} ${clockTime(street.hand.until)}` : ""))),
    may ? h("div.acts", null, VERBS.filter((verb) => !(warning.station && verb === "extend")).map((verb) =>
      h("button", { type: "button", id: `verb-${verb}`, class: verb === "cancel" ? "danger" : "", onclick: () => act(verb) }, word(`verb_${verb}`)))) : null,
    h("h4", null, word("chain_head")),
    h("div.chain", null, [...warning.events].reverse().map((one) => link(one, one === event))),
    event ? details(warning, event) : null);
}

const link = (one, pressed) => h("button", { type: "button", id: `event-${one.id}`, "aria-pressed": String(pressed), onclick: () => { step = one.id; again(); } },
  h("span", null, clockTime(one.at)), h("span", null, badge(one.level)),
  h("span", null, h("b", null, named("warning_action", one.action)), one.actor ? ` · ${word("by_person")} ${one.actor}` : "", one.note ? ` · ${one.note}` : "", h("small", null, ` ${either(`${one.areas.length} 处`, `${one.areas.length} places`)}`)));

async function explain(warning, event) {
  why = { id: event.id };
  try { why = { id: event.id, answer: await api(`warnings/${warning.id}/explained?event=${event.id}`) }; } catch (error) { why = { id: event.id, fault: error.message }; }
  again();
}

function details(warning, event) {
  const said = (warning.bulletins ?? []).filter((bulletin) => bulletin.issued_at >= event.created_at && !warning.events.some((other) => other.created_at > event.created_at && other.created_at <= bulletin.issued_at));
  return h("div", null,
    h("h4", null, word("said_head")),
    said.length ? said.map((bulletin) => h("div.said", null, h("b", null, either(bulletin.title, bulletin.title_en)), h("p.push-line", null, either(bulletin.push, bulletin.push_en)), h("p.order-text", null, either(bulletin.body, bulletin.body_en)))) : h("p.quiet", null, word("said_nothing")),
    h("h4", null, word("explained_head")),
    explained(warning, event));
}

function explained(warning, event) {
  if (why?.id !== event.id || (!why.answer && !why.fault)) return h("p.quiet", null, word("loading"));
  if (why.fault) return h("p.quiet", null, why.fault);
  const found = why.answer;
  const verdict = found.same === null ? h("span.quiet", null, event.actor ? word("same_hand") : word("no_explained"))
    : h("span.same", { class: found.same ? "same-yes" : "same-no" }, found.same ? `✓ ${word("same_yes")}` : `✗ ${word("same_no")}`);
  const pair = (key, value) => [h("dt", null, word(key)), h("dd", null, value)];
  return h("div", null, verdict,
    found.table ? h("dl.facts", null,
      pair("rule_version", found.table.version),
      found.nowcast ? pair("nowcast_run", `${clockTime(found.nowcast.issued_at)} #${found.nowcast.id}`) : null,
      found.missing_share === undefined || found.missing_share === null ? null : pair("missing_share", percent(found.missing_share)),
      found.excluded ? pair("excluded", found.excluded.length ? found.excluded.join(either("、", ", ")) : word("none")) : null) : null,
    (found.streets ?? []).map((street) => streetReasons(`${street.name}${found.recomputed?.streets?.[street.code] ? ` · ${word("recomputed")} ${named("level", found.recomputed.streets[street.code])}` : ""}`, street)),
    warning.station && event.reasons?.station ? stationReasons(event.reasons) : null);
}
