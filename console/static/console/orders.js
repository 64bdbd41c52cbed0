// The page of response orders: what is in force, the list in its threads, one order with all that came of it.

import { api, newKey } from "./session.js";
import { openGate } from "./gate.js";
import { attempt, clockTime, h, refill, serverNow } from "./page.js";
import { pages, reader } from "./reading.js";
import { either, named, word } from "./words.js";
import { badge, drillMark } from "./warnings.js";
import { openDraft, prepareDraft } from "./orders_draft.js";
import { orderState, tickOrders } from "./orders_short.js";
import { covers, forgetOne, showOne } from "./orders_one.js";

const EVERY_MS = 5000;
const PAST = new Set(["withdrawn", "ended", "superseded"]);
const box = (id) => document.getElementById(id);
let me = null;
let places = null;
let past = false;
let chosen = Number(location.hash.slice(1)) || null;
let now = fresh();
const reading = reader(() => paint());

function fresh() {
  return { orders: null, responses: null, measures: null, reach: null, tasks: null, feedback: null, region: "" };
}

function readAll() {
  reading.read("orders", "orders", (answer) => { now.orders = answer; }, { load: pages });
  reading.read("responses", "responses", (answer) => { now.responses = answer.items; });
  reading.read("measures", "measures", (answer) => { now.measures = answer.items; });
  const order = one();
  if (!order?.released_at) return;
  reading.read("reach", `orders/${order.id}/reach`, (answer) => { now.reach = answer; });
  reading.read("tasks", `orders/${order.id}/tasks`, (answer) => { now.tasks = answer; });
  reading.read("feedback", `orders/${order.id}/feedback${now.region ? `?region=${now.region}` : ""}`, (answer) => { now.feedback = answer; });
}

const one = () => (now.orders ?? []).find((order) => order.id === chosen);

function choose(id) {
  chosen = id;
  Object.assign(now, { reach: null, tasks: null, feedback: null, region: "" });
  for (const name of ["reach", "tasks", "feedback"]) reading.forget(name);
  forgetOne();
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  paint();
  readAll();
}

function lookAt(region) {
  now.region = region;
  readAll();
}

const may = () => ({ me: me.officer.id, desk: places.desk, command: places.command });

function paint() {
  if (!me) return;
  const [responses, measures] = [now.responses ?? [], now.measures ?? []];
  refill(box("responses"), responses.map(response), measures.map(measure), responses.length || measures.length || !now.responses ? null : h("p.quiet.nothing", null, word("no_response")));
  if (!now.orders) return;
  paintUndo();
  const shown = now.orders.filter((order) => past || !PAST.has(order.status) || order.id === chosen);
  refill(box("list"), shown.length ? threads(shown).map(row) : h("p.empty", null, word("none_ordered")));
  const order = one();
  box("one").dataset.reads = order?.released_at ? "reach tasks feedback" : "";
  refill(box("one"), order ? showOne(order, now, may(), { changed, lookAt, replace: (old) => openDraft({ replaces: old }, now.orders), choose }) : h("p.empty", null, word("orders_pick")));
}

/** Newest threads first; the orders that joined one stand under its first. */
function threads(orders) {
  const byThread = new Map();
  for (const order of [...orders].sort((a, b) => a.id - b.id)) byThread.set(order.thread || order.id, [...(byThread.get(order.thread || order.id) ?? []), order]);
  return [...byThread.values()].sort((a, b) => b[b.length - 1].id - a[a.length - 1].id).flatMap((thread) => thread.map((order, n) => ({ order, joined: n > 0 })));
}

const row = ({ order, joined }) => h("button.row", { type: "button", id: `row-${order.id}`, class: `edge-${PAST.has(order.status) ? "past" : order.drill ? "drill" : order.level}${joined ? " joined" : ""}`, "aria-pressed": String(order.id === chosen), onclick: () => choose(order.id) },
  h("span", null, badge(order.level), drillMark(order.drill)),
  h("span", null, either(order.title_zh, order.title_en), h("small", null, `${order.authority.name} · ${named("order_action", order.action)} · ${clockTime(order.released_at ?? order.created_at)}`)),
  orderState(order));

const response = (item) => h("button", { type: "button", id: `response-${item.order}`, class: `edge-${item.level}`, onclick: () => choose(item.order) },
  badge(item.level), h("b", null, item.authority.name), h("small", null, `${named("hazard", item.hazard)} · ${word("since")} ${clockTime(item.since)} · ${item.areas.slice(0, 3).map((area) => area.name).join(either("、", ", "))}${item.areas.length > 3 ? "…" : ""}`));

const measure = (item) => h("span.measure", null, h("b", null, named("sector", item.sector)),
  h("small", null, `${item.areas.slice(0, 4).map((area) => area.name).join(either("、", ", "))}${item.areas.length > 4 ? "…" : ""} · ${clockTime(item.starts_at)}${item.ends_at ? `–${clockTime(item.ends_at)}` : ""}`));

/** The window in which what was issued can be taken back: seconds, and one large button. */
function paintUndo() {
  const open = now.orders.filter((order) => order.undo_until && Date.parse(order.undo_until) > serverNow());
  refill(box("undo"), open.map((order) => h("div.card", null,
    h("b", { "data-undo": order.undo_until }, secondsLeft(order.undo_until)), h("span", null, `${either(order.title_zh, order.title_en)} · ${order.head_count ?? ""} ${order.head_count ? word("people") : ""}`),
    covers(places.desk, order.authority.code) ? h("button.danger", { type: "button", id: `undo-${order.id}`, onclick: () => undo(order) }, word("undo")) : null,
    h("span.bad.fault", { id: `undo-fault-${order.id}`, role: "alert" }))));
}

function secondsLeft(until) {
  const left_s = Math.max(0, Math.ceil((Date.parse(until) - serverNow()) / 1000));
  return left_s > 120 ? `${word("undo_scheduled")} ${clockTime(until)}` : `${left_s} ${word("undo_left")}`;
}

async function undo(order) {
  await attempt(`undo-fault-${order.id}`, () => api(`orders/${order.id}/undo`, { method: "POST", body: {}, key: newKey() }));
  changed();
}

/** After an act: everything is read again; `id` is the order to look at. */
function changed(id = chosen) {
  reading.forget();
  if (id !== chosen) return choose(id);
  paint();
  return readAll();
}

async function know(mine) {
  [me, places] = [mine, await api("console/map")];
}

function leave() {
  [me, places, now] = [null, null, fresh()];
  for (const id of ["responses", "list", "one", "undo"]) refill(box(id));
}

function dress() {
  document.title = word("orders_title");
  box("new-order").hidden = !prepareDraft(places, changed);
  paint();
  openAsked();
}

/** `#new` opens the draft, whether the page comes with it or is led to it while open. */
function openAsked() {
  if (location.hash !== "#new") return;
  history.replaceState(null, "", chosen ? `#${chosen}` : location.pathname);
  if (!box("new-order").hidden && !box("draft").open) openDraft({}, now.orders ?? []);
}

box("past").onclick = () => { past = !past; box("past").setAttribute("aria-pressed", String(past)); paint(); };
box("new-order").onclick = () => openDraft({}, now.orders ?? []);
setInterval(() => { if (me) readAll(); }, EVERY_MS);
setInterval(() => {
  tickOrders(now.orders ?? []);
  const open = document.querySelectorAll("[data-undo]");
  for (const node of open) node.textContent = secondsLeft(node.dataset.undo);
  if ([...open].some((node) => Date.parse(node.dataset.undo) <= serverNow())) changed();
}, 500);
window.addEventListener("hashchange", () => { if (location.hash === "#new") { if (me) openAsked(); return; } const id = Number(location.hash.slice(1)) || null; if (id !== chosen) choose(id); });
openGate({ page: "orders-page", reading, know, begin: readAll, leave, dress });
