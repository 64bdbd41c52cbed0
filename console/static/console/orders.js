// Response orders: the list with what may be done to each, every act confirmed by a second press.

import { api, newKey } from "./session.js";
import { clockTime, h, refill } from "./page.js";
import { either, named, word } from "./words.js";
import { badge, drillMark } from "./warnings.js";

const ARMED_MS = 8000;
const VERBS = { draft: ["submit", "withdraw"], rejected: ["submit"], submitted: ["approve", "reject", "withdraw"], approved: ["issue", "withdraw"], issued: ["end", "withdraw"] };
const PAST = new Set(["withdrawn", "ended"]);
const GRAVE = new Set(["issue", "withdraw"]);
const armed = new Map(); // "id-verb" -> what the second press would do, in words

let again = () => {}; // draws the newest list once more; an old one would offer acts already done

/** `may` is {me, desk, command}: the officer's id and the regions where he drafts and where he approves. */
export function showOrders(box, orders, may, onChange) {
  again = () => showOrders(box, orders, may, onChange);
  refill(box, orders.length ? orders.map((order) => card(order, may, onChange)) : h("p.empty", null, word("none_ordered")));
}

/** Whether one of these posts' regions is the authority or stands above it. */
export const covers = (regions, code) => regions.some((region) => region.level === "city" || region.code === code);

function card(order, may, onChange) {
  const last = order.events[order.events.length - 1];
  return h("article.card", { class: `edge-${PAST.has(order.status) ? "past" : order.drill ? "drill" : order.level}`, id: `order-${order.id}` },
    h("h3", null, badge(order.level), drillMark(order.drill), ` ${either(order.title_zh, order.title_en)} `, h("span.status", { class: `order-${order.status}` }, named("order", order.status))),
    h("p.quiet", null, `${order.authority.name} · ${last.actor} ${clockTime(last.at)} · ${order.duties.map((duty) => named("duty", duty)).join(either("、", ", "))}`,
      order.deadline_at ? ` · ${word("deadline")} ${clockTime(order.deadline_at)}` : "", last.note ? ` · ${last.note}` : ""),
    h("p.order-text", null, either(order.text_zh, order.text_en)),
    h("div.acts", null, (VERBS[order.status] ?? []).map((verb) => act(order, verb, may, onChange))),
    h("p.bad.fault", { id: `fault-${order.id}`, role: "alert" }));
}

function act(order, verb, may, onChange) {
  const key = `${order.id}-${verb}`;
  const command = verb === "approve" || verb === "reject";
  const own = verb === "approve" && order.drafted_by === may.me;
  const posted = covers(command ? may.command : may.desk, order.authority.code);
  const why = own ? word("drafted_by_you") : posted ? "" : word(command ? "command_only" : "desk_only");
  return h("button", {
    type: "button", id: `act-${key}`, class: `${GRAVE.has(verb) ? "danger" : ""}${armed.has(key) ? " armed" : ""}`,
    disabled: Boolean(why), title: why || null, onclick: () => press(order, verb, key, onChange),
  }, armed.get(key) ?? (own ? `${word(verb)} · ${why}` : word(verb)));
}

async function press(order, verb, key, onChange) {
  try {
    if (!armed.has(key)) return await arm(order, verb, key);
    armed.delete(key);
    await api(`orders/${order.id}/${verb}`, { method: "POST", body: {}, key: newKey() });
    onChange();
  } catch (error) {
    document.getElementById(`fault-${order.id}`).textContent = error.message;
  }
  return undefined;
}

/** The first press says what the second will do; before issuing, how many people it will wake. */
async function arm(order, verb, key) {
  const reach = verb === "issue" ? await api("orders/preview", { method: "POST", body: { areas: order.areas, duties: order.duties } }) : null;
  armed.set(key, `${word(verb)} · ${reach ? `${word("will_reach")} ${reach.officers} ${word("people")} · ` : ""}${word("sure")}`);
  setTimeout(() => { armed.delete(key); again(); }, ARMED_MS);
  again();
}
