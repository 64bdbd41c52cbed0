// The board's short list of response orders: what waits for somebody and what is in force. Their own page does the rest.

import { clockTime, h, refill } from "./page.js";
import { either, named, word } from "./words.js";
import { badge, drillMark } from "./warnings.js";

const MOST = 8;
const FIRST = ["approved", "submitted", "issued", "rejected", "draft"]; // the nearest to people's phones first
const PAST = new Set(["withdrawn", "ended", "superseded"]);

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
      h("span.status", { class: `order-${order.status}` }, named("order", order.status))),
    h("p.quiet", null, [order.authority.name, last ? `${last.actor} ${clockTime(last.at)}` : "", order.deadline_at ? `${word("deadline")} ${clockTime(order.deadline_at)}` : ""].filter(Boolean).join(" · ")));
}
