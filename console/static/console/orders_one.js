// One order: its text, tasks, stops and papers, the acts open to the reader, and what has come back of it.

import { api, newKey, picture } from "./session.js";
import { attempt, clockTime, h } from "./page.js";
import { either, named, word } from "./words.js";
import { badge, drillMark } from "./warnings.js";
import { orderState } from "./orders_short.js";
import { audience } from "./audience.js";
import { counts, reachBar, table } from "./dispatches.js";
import { feedbackPart, taskWhose, tasksPart } from "./orders_back.js";

const UNDO_S = 10;
const ARMED_MS = 8000;
const VERBS = { draft: ["submit", "withdraw"], rejected: ["submit", "withdraw"], submitted: ["approve", "reject", "withdraw"], approved: ["issue", "withdraw"], issued: ["end", "withdraw"] };
const COMMAND = new Set(["approve", "reject"]);
const GRAVE = new Set(["issue", "withdraw", "end"]);
let armed = ""; // "id-verb" awaiting its second press
let note = "";

/** Whether one of these regions is the authority or stands above it. */
export const covers = (regions, code) => regions.some((region) => region.level === "city" || region.code === code);

export function forgetOne() {
  [armed, note] = ["", ""];
}

/** Nodes of the right column. `on`: changed(id?), lookAt(region), replace(order), choose(id). */
export function showOne(order, back, may, on) {
  const link = (key, id) => (id ? h("button.plain", { type: "button", id: `link-${key}-${id}`, onclick: () => on.choose(id) }, `${word(key)} #${id}`) : null);
  return [
    h("h2", null, h("span", null, badge(order.level), drillMark(order.drill), ` ${either(order.title_zh, order.title_en)}`), h("small", null, `#${order.id} · ${named("order_action", order.action)} · `, orderState(order))),
    h("p.quiet", null, [order.authority.name, order.duties.map((duty) => named("duty", duty)).join(either("、", ", ")), `${word("in_force")} ${clockTime(order.valid_until)}`,
      order.deadline_at ? `${word("deadline")} ${clockTime(order.deadline_at)}` : "", order.effective_at ? `${word("effective")} ${clockTime(order.effective_at)}` : "", order.plan].filter(Boolean).join(" · ")),
    h("p.acts", null, link("joins", order.under), link("replaced", order.replaces), link("replaced_by", order.replaced_by), (order.adds ?? []).map((id) => link("thread", id))),
    h("p.order-text", null, either(order.text_zh, order.text_en)),
    order.tasks.length && !back.tasks ? h("ul", null, order.tasks.map((task) => h("li", null, `${task.number}. ${taskWhose(task)}：${either(task.text_zh, task.text_en)}`, task.due_min ? h("small", null, ` · ${task.due_min} ${word("draft_due")}`) : null))) : null,
    order.measures.length ? h("div.chips", null, order.measures.map((measure) => h("span.chip.badge-III", null, `${named("sector", measure.sector)}${measure.note ? ` · ${measure.note}` : ""}`))) : null,
    order.attachments.length ? h("div.acts", null, word("papers"), order.attachments.map((paper) => h("button", { type: "button", id: `paper-${paper.id}`, onclick: () => save(order, paper) }, `${paper.name} · ${Math.ceil(paper.size / 1024)} KB`))) : null,
    acts(order, may, on),
    h("p.bad.fault", { id: `act-fault-${order.id}`, role: "alert" }),
    back.reach ? reachPart(order, back.reach) : null,
    back.tasks ? tasksPart(back.tasks) : null,
    back.feedback ? feedbackPart(back.feedback, on.lookAt) : null,
    h("h4", null, word("events_head")),
    h("ul", null, order.events.map((event) => h("li.quiet", null, `${clockTime(event.at)} ${event.actor} ${event.before ? `${named("order", event.before)} → ` : ""}${named("order", event.after)}${event.note ? ` · ${event.note}` : ""}`))),
  ];
}

function reachPart(order, reach) {
  return h("section", null,
    h("h4", null, word("reach_head")), reachBar(reach), counts(reach),
    reach.nobody.length ? h("section.silent-list", null, h("h4.bad", null, `${word("nobody")} ${reach.nobody.length}`),
      h("div.chips", null, reach.nobody.map((street) => h("span.chip.badge-emergency", null, `${street.name} ${street.total}`)))) : null,
    table(word("by_district"), reach.districts), audience(reach.dispatch));
}

function acts(order, may, on) {
  const pending = order.status === "issued" && !order.released_at;
  const verbs = pending ? ["withdraw"] : VERBS[order.status] ?? [];
  const desk = covers(may.desk, order.authority.code);
  if (!verbs.length) return null;
  return h("div", null,
    h("input", { id: "act-note", placeholder: word("note"), "aria-label": word("note"), maxlength: 200, value: note, oninput: (event) => { note = event.currentTarget.value; } }),
    h("div.acts", null, verbs.map((verb) => act(order, verb, may, on)),
      order.status === "issued" && order.released_at && desk ? h("button", { type: "button", id: "act-supersede", onclick: () => on.replace(order) }, word("supersede")) : null));
}

function act(order, verb, may, on) {
  const own = verb === "approve" && order.drafted_by === may.me;
  const posted = covers(COMMAND.has(verb) ? may.command : may.desk, order.authority.code);
  const why = own ? word("drafted_by_you") : posted ? "" : word(COMMAND.has(verb) ? "command_only" : "desk_only");
  const key = `${order.id}-${verb}`;
  return h("button", {
    type: "button", id: `act-${verb}`, class: `${GRAVE.has(verb) ? "danger" : ""}${armed === key ? " armed" : ""}`, disabled: Boolean(why), title: why || null,
    onclick: () => (verb === "issue" ? openIssue(order, on) : press(order, verb, key, on)),
  }, own ? `${word(verb)} · ${why}` : armed === key ? `${word(verb)} · ${word("sure")}` : word(verb));
}

/** What ends something for many people is done by a second press. */
async function press(order, verb, key, on) {
  if (GRAVE.has(verb) && armed !== key) {
    armed = key;
    setTimeout(() => { if (armed === key) { armed = ""; on.changed(); } }, ARMED_MS);
    return on.changed();
  }
  armed = "";
  const done = await attempt(`act-fault-${order.id}`, () => api(`orders/${order.id}/${verb}`, { method: "POST", body: { note }, key: newKey() }));
  if (done) note = "";
  return on.changed();
}

/** The last look before people are woken: the line on the phone, the head count to be typed. */
async function openIssue(order, on) {
  const dialog = document.getElementById("issue");
  const form = dialog.querySelector("form");
  const fault = form.querySelector(".fault");
  form.reset();
  fault.textContent = "";
  document.getElementById("issue-drill").hidden = !order.drill;
  document.getElementById("issue-push").textContent = either(order.title_zh, order.title_en);
  const count = document.getElementById("issue-count");
  dialog.querySelector(".close").onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = { officers: Number(form.elements.officers.value), undo_s: UNDO_S, note: form.elements.note.value };
    if (await attempt(fault, () => api(`orders/${order.id}/issue`, { method: "POST", body, key: newKey() }))) dialog.close();
    on.changed();
  };
  dialog.showModal();
  const asked = { areas: order.areas, duties: order.duties, under: order.under, level: order.level, drill_of: order.drill_of };
  await attempt(count, async () => count.replaceChildren(...headCount(await api("orders/preview", { method: "POST", body: asked }))));
}

/** Nodes: how many people, how many of them only renewed, which places have nobody. */
export function headCount(heard) {
  const names = heard.regions.map((region) => `${region.name} ${region.officers}`).join(either("，", ", "));
  const grave = heard.coverage.worst.filter((item) => item.faults.includes("no_responder") || item.faults.includes("no_live_device"));
  return [
    h("b.big", null, String(heard.officers)), ` ${word("people")} · `, heard.no_live_device ? h("span.bad", null, `${word("no_device")} ${heard.no_live_device} · `) : "",
    heard.quiet ? `${heard.quiet} ${word("issue_quiet")} · ` : "", names,
    grave.length ? h("div.red-list", null, h("b.bad", null, `${heard.coverage.places} ${word("red_list_of")} `), word("red_list"), "：", grave.map((item) => `${item.name}（${item.faults.map((fault) => named("coverage_fault", fault)).join("、")}）`).join(either("、", ", "))) : "",
  ];
}

const save = (order, paper) => attempt(`act-fault-${order.id}`, async () => {
  const link = h("a", { href: URL.createObjectURL(await picture(`orders/${order.id}/attachments/${paper.id}`)), download: paper.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
