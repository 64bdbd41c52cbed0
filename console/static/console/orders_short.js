// The board's short list of response orders: what waits for somebody and what is in force. Their own page does the rest.

import { ageOf, clockTime, h, refill, span } from "./page.js";
import { either, named, word } from "./words.js";
import { badge, drillMark } from "./warnings.js";

const MOST = 8;
const FIRST = ["approved", "submitted", "issued", "rejected", "draft"]; // the nearest to people's phones first
const PAST = new Set(["withdrawn", "ended", "superseded"]);

const LATE_S = 5; // a release is swept every 2 s: by then it is late

const unsent = (order) => order.status === "issued" && !order.released_at;

/** [style, words]. Issued is not out: until it is released nobody has been told, and past its time that is a fault. */
export function orderStand(order) {
  if (!unsent(order)) return [`order-${order.status}`, named("order", order.status)];
  const late_s = ageOf(order.release_at);
  if (late_s > LATE_S) return ["order-late", `${word("release_late")} ${span(late_s)} · ${word("release_due")} ${clockTime(order.release_at)}`];
  return ["order-unsent", `${word("release_waits")} · ${clockTime(order.release_at)} · ${word("release_left")} ${span(-late_s)}`];
}

export function orderState(order) {
  const [style, words] = orderStand(order);
  return h("span.status", { "data-order": order.id, class: style }, words);
}

/** Once a second: the time that is left to what has not gone out. */
export function tickOrders(orders) {
  const waiting = new Map(orders.filter(unsent).map((order) => [String(order.id), order]));
  for (const node of document.querySelectorAll("[data-order]")) {
    if (!waiting.has(node.dataset.order)) continue;
    const [style, words] = orderStand(waiting.get(node.dataset.order));
    [node.className, node.textContent] = [`status ${style}`, words];
  }
}

export function showOrders(box, orders) {
  const open = orders.filter((order) => !PAST.has(order.status)).sort((a, b) => FIRST.indexOf(a.status) - FIRST.indexOf(b.status) || b.id - a.id);
  const shown = open.length ? open : orders; // a quiet board still says what was last
  const rest = orders.length - Math.min(shown.length, MOST);
  refill(box, shown.slice(0, MOST).map(card),
    orders.length ? (rest > 0 ? h("p", null, h("a", { href: "/console/orders" }, `${word("all_orders")} ${orders.length}`)) : null) : h("p.empty", null, word("none_ordered")));
}

function card(order) {
  const last = order.events[order.events.length - 1];
  return h("article.card", { class: `edge-${PAST.has(order.status) ? "past" : order.drill ? "drill" : order.level}`, id: `order-${order.id}` },
    h("h3", null, badge(order.level), drillMark(order.drill), " ", h("a", { href: `/console/orders#${order.id}`, id: `order-link-${order.id}` }, either(order.title_zh, order.title_en)), " ",
      orderState(order)),
    h("p.quiet", null, [order.authority.name, last ? `${last.actor} ${clockTime(last.at)}` : "", order.deadline_at ? `${word("deadline")} ${clockTime(order.deadline_at)}` : ""].filter(Boolean).join(" · ")));
}
