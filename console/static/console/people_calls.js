// The call-out desk: claim, see the number, say what came of it. The gravest stand first, as the server lists them.

import { api, newKey } from "./session.js";
import { ageOf, attempt, clockTime, h, refill, span } from "./page.js";
import { named, word } from "./words.js";
import { personName } from "./chain.js";
import { drillMark } from "./warnings.js";

const RESULTS = ["answered", "cannot", "no_answer", "wrong_number", "other"];
const numbers = new Map(); // call id -> the number, while this page stands open; kept nowhere
const notes = new Map(); // call id -> the note being written

/** `onChange()` after an act. */
export function showCalls(box, calls, onChange) {
  const shown = new Set(calls.map((call) => call.id));
  for (const id of numbers.keys()) if (!shown.has(id)) numbers.delete(id);
  refill(box, calls.length ? calls.map((call) => card(call, onChange)) : h("p.empty", null, word("calls_none")));
}

function card(call, onChange) {
  const level = ["watch", "notice", "attention", "alert", "emergency"][call.urgency];
  const tried = call.tried.map((rung) => `${named("errand", rung.errand)}${rung.channel === "app" ? "" : ` ${named("channel", rung.channel)}`} ${clockTime(rung.taken_at)}`).join(" → ");
  return h("article.card.call", { class: `${call.drill ? "edge-drill" : `edge-${level}`}${call.mine ? " mine" : ""}`, id: `call-${call.id}` },
    h("h3", null, drillMark(call.drill), personName(`call-name-${call.id}`, call), " ", h("small", null, `${call.region_name} · ${named("duty", call.duty)} · ${call.masked_phone}`)),
    h("p", null, call.title),
    h("p.tried", null, `${word("call_since")} ${clockTime(call.told_at)}（`, h("span", { "data-since": call.told_at }, span(ageOf(call.told_at))), "）", tried ? ` · ${tried}` : ""),
    call.result ? h("p", null, h("b", null, named("call_result", call.result)), ` · ${call.claimed_by ?? ""} ${clockTime(call.done_at)}`, call.note ? ` · ${call.note}` : "") : acts(call, onChange),
    h("p.bad.fault", { id: `call-fault-${call.id}`, role: "alert" }));
}

function acts(call, onChange) {
  const button = (verb, text, run, style = "") => h("button", { type: "button", id: `call-${verb}-${call.id}`, class: style, onclick: () => press(call, run, onChange) }, text);
  if (!call.claimed_by) return h("div.acts", null, button("claim", word("call_claim"), () => post(call, "claim"), "primary"));
  if (!call.mine) return h("p.quiet", null, `${call.claimed_by} ${word("call_held")} ${clockTime(call.claimed_at)}`);
  const number = numbers.get(call.id);
  return h("div", null,
    number ? h("a.phone", { href: `tel:${number}` }, number) : null,
    h("input", { id: `call-note-${call.id}`, placeholder: word("call_note"), "aria-label": word("call_note"), maxlength: 500, value: notes.get(call.id) ?? "", oninput: (event) => notes.set(call.id, event.currentTarget.value) }),
    h("div.acts", null,
      number ? null : button("phone", word("call_phone"), async () => { numbers.set(call.id, (await post(call, "phone")).phone); }, "primary"),
      RESULTS.map((result) => button(result, named("call_result", result), () => finish(call, result))),
      button("release", word("call_release"), () => post(call, "release"))));
}

const post = (call, verb, body = {}) => api(`calls/${call.id}/${verb}`, { method: "POST", body, key: newKey() });

async function finish(call, result) {
  await post(call, "result", { result, note: notes.get(call.id) ?? "" });
  numbers.delete(call.id);
  notes.delete(call.id);
}

async function press(call, run, onChange) {
  if (await attempt(`call-fault-${call.id}`, run)) onChange();
}
