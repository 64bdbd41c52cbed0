// The duty room's page: signs in, reads, listens, and gives each part its figures. The parts draw themselves.

import { named, word } from "./words.js";
import { ageOf, clockTime, figure, h, learnClock, paintSocket, refill, serverNow, span, throttled } from "./page.js";
import { api, signedIn } from "./session.js";
import { openGate } from "./gate.js";
import { chooseOnMap, drawMap, legend, paintMap } from "./map.js";
import { levelCode, levelNumber, showWarnings } from "./warnings.js";
import { inForce, owing, refreshUnfolded, showDispatches } from "./dispatches.js";
import { showOrders, tickOrders } from "./orders_short.js";
import { readStreet, showStreet } from "./street.js";
import { listen } from "./live.js";
import { pages, reader, rows } from "./reading.js";

const LATEST = 12; // dispatches on the page
const box = (id) => document.getElementById(id);
const POLL_S = 30; // a lost hint costs at most this
const EMPTY = { places: null, me: null, levels: null, levels_at: 0, warnings: null, dispatches: null, orders: null, feeds: null, rain: null, street: "", reach: undefined, socket: "joining" }; // null: not read
let now = { ...EMPTY };
let stop = () => {};

// Reading: each part asks for its own, repaints only what changed, and keeps the last figures when a read fails

const reading = reader(() => paint(), POLL_S * 1.5);
const { read } = reading;
const readWarnings = () => read("warnings", "warnings?active=1", (answer) => { now.warnings = answer.sort((a, b) => b.raised_at.localeCompare(a.raised_at) || b.id - a.id); }, { load: (path) => pages(path) });
const readOrders = () => read("orders", "orders", (answer) => { now.orders = rows(answer); });
const readLevels = () => read("levels", "live/levels", (answer) => { now.levels = rows(answer); now.levels_at = serverNow(); });
const readRain = () => now.street && read("rain", `live/rain?level=street&region=${now.street}`, (answer) => { now.rain = answer.items[0]; });
const readDispatches = () => read("dispatches", `console/dispatches?limit=${LATEST}`, (answer) => { learnClock(answer.as_of); now.dispatches = answer.items; });
const readFeeds = () => reading.stand("feeds").status !== 403 && read("feeds", "console/feeds", (answer) => { now.feeds = answer.items; });

const refreshBoard = throttled(() => { readDispatches(); readWarnings(); readOrders(); refreshUnfolded(box("dispatches"), openStreet); readReach(); }, 2000);
const refreshWater = throttled(() => { readLevels(); readRain(); }, 5000);
const refreshAll = throttled(() => { readFeeds(); refreshBoard(); refreshWater(); }, 5000);

const readReach = () => now.street && read("reach", `console/regions/${encodeURIComponent(now.street)}/reach`, (answer) => { now.reach = answer; }, { load: readStreet });

function openStreet(code) {
  now.street = code;
  now.reach = undefined;
  chooseOnMap(code);
  box("street").dataset.reads = "warnings rain reach";
  paintStreet();
  readReach();
  readRain();
  if (box("street").getBoundingClientRect().top > innerHeight - 120) box("street").scrollIntoView({ block: "end" });
}

// Painting

const real = (items) => (items ?? []).filter((item) => !item.drill); // a drill never colours the map nor moves a figure

function streetLevels() {
  const levels = new Map();
  for (const warning of real(now.warnings)) for (const street of warning.streets) levels.set(street.code, Math.max(levels.get(street.code) ?? 0, levelNumber(street.level)));
  return levels;
}

function silentStreets() {
  return new Set(real(now.dispatches).filter((dispatch) => inForce(dispatch) && owing(dispatch)).flatMap((dispatch) => dispatch.nobody));
}

function paint() {
  if (!now.places) return;
  const silent = silentStreets();
  const drill = new Set((now.warnings ?? []).filter((warning) => warning.drill).flatMap((warning) => warning.streets.map((street) => street.code)));
  paintMap({ level: streetLevels(), silent, drill, readings: new Map((now.levels ?? []).map((item) => [item.station, item])), read_at: now.levels_at });
  if (now.warnings && changed("warnings", now.warnings)) showWarnings(box("warnings"), now.warnings, openStreet);
  if (now.dispatches && changed("dispatches", now.dispatches, now.dispatches.filter(inForce).length)) showDispatches(box("dispatches"), now.dispatches, openStreet);
  if (now.orders && changed("orders", now.orders)) showOrders(box("orders"), now.orders);
  paintFigures(silent);
  paintFeeds();
  paintStreet();
  const { stations, replay } = now.places.synthetic;
  box("synthetic").hidden = !stations && !replay;
  box("synthetic").textContent = [replay && word("replay"), stations && word("synthetic")].filter(Boolean).join(" · ");
}

const drawn = new Map();

/** Whether a part's inputs are others than it was drawn from; what did not change is left alone under the pointer. */
function changed(part, ...inputs) {
  const before = drawn.get(part);
  drawn.set(part, inputs);
  return !before || inputs.some((input, i) => input !== before[i]);
}

function paintStreet() {
  if (!changed("street", now.street, now.rain, now.warnings, now.reach)) return;
  const place = now.places.streets.find((street) => street.code === now.street);
  showStreet(box("street"), place, { rain: now.rain?.region === now.street ? now.rain : null, warnings: now.warnings ?? [], reach: now.reach });
}

/** Late, silent, or never come though something of it fails; one that is only waited for is not at fault. */
const atFault = (feed) => feed.status !== "good" && !(feed.status === "never" && feed.why === "no_posts");

function paintFigures(silent) {
  const live = real(now.dispatches).filter(inForce);
  const warnings = real(now.warnings);
  const drills = (now.warnings ?? []).length - warnings.length;
  const total = (count) => live.reduce((sum, dispatch) => sum + count(dispatch), 0);
  const levels = now.levels ?? [];
  const over = levels.filter((item) => ["over", "design", "check"].includes(item.status)).length;
  const blind = levels.filter((item) => ["stale", "unknown"].includes(item.status)).length;
  const worst = Math.max(0, ...warnings.map((warning) => levelNumber(warning.level)));
  const [danger, sent, water] = ["warnings", "dispatches", "levels"].map((name) => reading.stand(name));
  refill(box("figures"),
    figure(danger, "big_warnings", warnings.length, `level-${worst}`, drills ? ` · ${word("drill")} ${drills}` : ""), figure(sent, "big_silent", silent.size, "red"),
    figure(sent, "big_unanswered", total(owing), "amber"), figure(sent, "big_exhausted", total((dispatch) => dispatch.exhausted), "red"),
    figure(water, "big_over", over, "red"), figure(water, "big_blind", blind, "grey"),
    figure(reading.stand("feeds"), "big_feeds", (now.feeds ?? []).filter(atFault).length, "red"));
  const mark = worst ? named("level", levelCode(worst)) : danger.state === "read" ? "" : "?";
  document.title = mark ? `(${mark}) ${word("title")}` : word("title");
}

function paintFeeds() {
  refill(box("feeds"), (now.feeds ?? []).map((feed) => h("li", { class: `feed-${feed.status}`, title: `${named("feed_state", feed.status)} · ${clockTime(feed.received_at)}` },
    feed.name, feed.replayed ? h("i", null, word("replay_mark")) : null, h("b", { "data-since": feed.received_at }, feed.received_at ? span(ageOf(feed.received_at)) : named("feed_state", feed.status)))));
}

const hearSocket = (state) => { now.socket = state; paintSocket(state); };

// Coming and going

async function know() {
  now.places = await api("console/map");
}

function begin() {
  refreshAll();
  stop = listen(now.places.topics, { levels: refreshWater, board: refreshBoard, everything: refreshAll, state: hearSocket });
}

function leave() {
  stop();
  now = { ...EMPTY };
  box("street").dataset.reads = "";
}

/** Everything that depends on the language. */
function dress() {
  drawn.clear();
  drawMap(box("map"), now.places, openStreet);
  refill(box("legend"), legend());
  box("new-order").hidden = !now.places.desk.length;
  paintSocket(now.socket);
  paint();
}

function wire() {
  document.addEventListener("keydown", shortcut);
  setInterval(() => tickOrders(now.orders ?? []), 1000);
  setInterval(refreshAllWhenIn, POLL_S * 1000);
}

const refreshAllWhenIn = () => { if (signedIn() && now.places) { refreshAll(); paint(); } };

function shortcut(event) {
  const typing = event.target.matches("input, textarea, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || box("board").hidden) return;
  const target = { m: "#map [tabindex='0']", w: "#warnings-head", d: "#dispatches-head", o: "#orders-head" }[event.key.toLowerCase()];
  if (target) document.querySelector(target)?.focus();
  else if (event.key.toLowerCase() === "n" && !box("new-order").hidden) box("new-order").click();
  else return;
  event.preventDefault();
}

wire();
openGate({ page: "board", reading, know, begin, leave, dress });
