// Checks 核实: rain heavy enough for a warning that quality control doubts. A person calls, then says which it is.

import { api, newKey } from "./session.js";
import { attempt, clockTime, fixed, h, refill } from "./page.js";
import { either, word } from "./words.js";

const ARMED_MS = 8000;
const HOURS = [1, 6, 12, 24, 48, 72]; // as the door takes them: how long a broken gauge is left out
const USUAL_H = 24;
const hours = new Map(); // check id -> the hours chosen
let armed = ""; // "id-answer" awaiting its second press
let again = () => {};

/** `onChange()` after an answer. */
export function showChecks(box, checks, onChange) {
  again = () => showChecks(box, checks, onChange);
  refill(box, checks.length ? checks.map((check) => card(check, onChange)) : h("p.empty", null, word("no_checks")));
}

function card(check, onChange) {
  const leave = h("select", { id: `hours-${check.id}`, "aria-label": word("leave_out"), onchange: (event) => { hours.set(check.id, Number(event.currentTarget.value)); } },
    HOURS.map((n) => h("option", { value: n, selected: n === (hours.get(check.id) ?? USUAL_H) }, either(`${n} 小时`, `${n} h`))));
  return h("article.card.check", null,
    h("h3", null, check.station_name ?? check.station, " ", h("small.code", null, check.station)),
    h("p", null, h("b.check-value", null, `${fixed(check.value_mm, 1)} mm`), ` ${word("in_five_minutes")} · ${clockTime(check.observed_at)} · ${word("raised")} ${clockTime(check.raised_at)}`),
    h("p.reason", null, check.why),
    h("div.acts", null, answer(check, "real", onChange), answer(check, "broken", onChange), h("label.quiet", null, `${word("leave_out")} `, leave)),
    h("p.bad.fault", { id: `check-fault-${check.id}`, role: "alert" }));
}

function answer(check, verdict, onChange) {
  const key = `${check.id}-${verdict}`;
  return h("button", { type: "button", id: `check-${key}`, class: `${verdict === "real" ? "primary" : "danger"}${armed === key ? " armed" : ""}`, onclick: () => press(check, verdict, key, onChange) },
    word(`answer_${verdict}`), armed === key ? ` · ${word("sure")}` : "");
}

async function press(check, verdict, key, onChange) {
  if (armed !== key) {
    armed = key;
    setTimeout(() => { if (armed === key) { armed = ""; again(); } }, ARMED_MS);
    return again();
  }
  armed = "";
  const body = verdict === "broken" ? { answer: verdict, hours: hours.get(check.id) ?? USUAL_H } : { answer: verdict };
  again();
  if (await attempt(`check-fault-${check.id}`, () => api(`checks/${check.id}/answer`, { method: "POST", body, key: newKey() }))) onChange();
  return undefined;
}
