// Small tools of the page: building nodes, saying times and how the page's parts stand, the one tooltip. No facts, no network.

import { spoken } from "./session.js";
import { either, language, word } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
let skew_ms = 0; // the server's clock minus this machine's

/** h("button.danger", {onclick}, "text", node, …): attributes, `on…` listeners and properties; null children are left out. */
export const h = (name, attributes, ...children) => build(document.createElement(name.split(".")[0]), name, attributes, children);
export const s = (name, attributes, ...children) => build(document.createElementNS(SVG, name.split(".")[0]), name, attributes, children);

function build(node, name, attributes, children) {
  const classes = name.split(".").slice(1);
  if (classes.length) node.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.classList.add(...value.split(" ").filter(Boolean));
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Puts new children into a box; keyboard focus, the scroll of `.scroll` parts and the words of `.fault` stay (by id). */
export function refill(box, ...children) {
  const focused = box.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolls = Array.from(box.querySelectorAll(".scroll[id]"), (part) => [part.id, part.scrollTop, part.scrollLeft]);
  const faults = Array.from(box.querySelectorAll(".fault[id]:not(:empty)"), (part) => [part.id, part.textContent]);
  box.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const [id, top, left] of scrolls) document.getElementById(id)?.scrollTo(left, top);
  for (const [id, text] of faults) sayFault(id, text);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function sayFault(fault, text) {
  const place = typeof fault === "string" ? document.getElementById(fault) : fault;
  if (place) place.textContent = text;
}

/** Runs an act of a person; what it was refused with stands in `fault` (a node, or the id of one) until the next try. True once done. */
export async function attempt(fault, act) {
  sayFault(fault, "");
  try {
    await act();
    return true;
  } catch (error) {
    sayFault(fault, spoken(error));
    return false;
  }
}

export const learnClock = (iso) => { skew_ms = Date.parse(iso) - Date.now(); };
export const serverNow = () => Date.now() + skew_ms;

const SHENZHEN = { timeZone: "Asia/Shanghai", hourCycle: "h23" };
const TIME = new Intl.DateTimeFormat("en-GB", { ...SHENZHEN, hour: "2-digit", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { ...SHENZHEN, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("sv-SE", { ...SHENZHEN, year: "numeric", month: "2-digit", day: "2-digit" });

/** "03:25"; "07-20 03:25" when it is not today in Shenzhen; with the year when it is another. */
export function clockTime(iso) {
  if (!iso) return "–";
  const at = new Date(iso);
  const day = DAY.format(at);
  const today = DAY.format(serverNow());
  if (day === today) return TIME.format(at);
  return `${day.slice(0, 4) === today.slice(0, 4) ? day.slice(5) : day} ${TIME.format(at)}`;
}
const clockFace = () => `${DAY.format(serverNow())} ${SECONDS.format(serverNow())}`; // of Shenzhen, as all times here

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const n = Math.max(0, Math.round(seconds));
  if (n < 100) return either(`${n}秒`, `${n} s`);
  if (n < 6000) return either(`${Math.round(n / 60)}分`, `${Math.round(n / 60)} min`);
  return n < 172800 ? either(`${Math.round(n / 3600)}小时`, `${Math.round(n / 3600)} h`) : either(`${Math.round(n / 86400)}天`, `${Math.round(n / 86400)} d`);
}
export const ageOf = (iso) => (iso ? (serverNow() - Date.parse(iso)) / 1000 : null);
export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(share * 100)}%`);
export const fixed = (value, digits) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));

/** The clock of Shenzhen as a datetime-local field wants it, and back to an instant. */
export const toField = (ms) => new Date(ms + 8 * 3600000).toISOString().slice(0, 16);
export const fromField = (value) => `${value.slice(0, 16)}:00+08:00`;

/** The clock, how every part stands (`data-reads` names what a node is drawn from), every age (`data-since`). `reading`: a reader. */
export function tickPage(reading) {
  document.getElementById("clock").textContent = clockFace();
  const names = new Set(reading.names());
  for (const node of document.querySelectorAll("[data-reads]")) {
    const own = node.dataset.reads.split(" ").filter(Boolean);
    for (const name of own) names.add(name);
    paintStand(node, own.length ? reading.stand(...own) : null);
  }
  whole = names.size ? reading.stand(...names).state : "read";
  paintMark();
  paintBanner(reading);
  for (const node of document.querySelectorAll("[data-since]")) if (node.dataset.since) node.textContent = span(ageOf(node.dataset.since));
}

/** A line above a node whose parts are not present; what it says of nothing being there is hidden meanwhile (CSS). */
function paintStand(node, stand) {
  const quiet = !stand || stand.state === "read" || (stand.state === "refused" && node.dataset.withheld === "");
  node.dataset.stand = quiet ? "read" : stand.state;
  let line = node.previousElementSibling;
  if (!line?.classList.contains("stand-line")) {
    if (quiet) return;
    line = h("p.stand-line");
    node.before(line);
  }
  const text = quiet ? "" : `${language()} ${stand.state} ${stand.read_at} ${stand.why}`;
  if (line.dataset.drawn === text) return;
  line.dataset.drawn = text;
  line.hidden = quiet;
  line.className = `stand-line ${node.dataset.stand}`;
  if (!quiet) line.replaceChildren(...standWords(stand, node.dataset));
}

/** `withheld`: the word for who may not read it; `once`: it is read when asked for, not again by itself. */
function standWords({ state, read_at, why, status }, { withheld, once }) {
  if (state === "unread") return [word("loading")];
  if (state === "refused") return [status === 403 && withheld ? word(withheld) : why];
  return [word(state === "old" ? "not_renewed" : once === undefined ? "not_read" : "not_read_once"), why && ` · ${why}`, ...(read_at ? [` · ${word("stopped_at")} `, ...agedAt(read_at)] : [])].filter(Boolean);
}

const instant = (ms) => new Date(ms).toISOString();
const agedAt = (ms) => [clockTime(instant(ms)), " (", h("span", { "data-since": instant(ms) }, span(ageOf(instant(ms)))), ")"];

/** One figure of a page's head. What was not read is a dash; a zero stands only while its parts are present. */
export function figure(stand, key, value, cls, more = "") {
  const sure = stand.state === "read";
  const known = value !== null && value !== undefined && (sure || (value && stand.read_at > 0));
  const aged = sure || stand.state === "refused" ? null : h("small", { class: stand.state === "unread" ? null : "bad" },
    stand.state === "unread" ? word("loading") : stand.read_at ? agedAt(stand.read_at) : word("figure_not_read"));
  return h("li", { class: known && value ? cls : "calm" }, h("b", null, known ? value.toLocaleString(language()) : "–"), h("span", null, word(key), more), aged);
}

let socket = ""; // live, joining or polling; empty on a page that has none
let whole = "unread"; // how the worst part of the page stands

/** How the socket stands: live, joining or polling. */
export function paintSocket(state) {
  socket = state;
  paintMark();
}

/** The head's mark: nothing is called live while a part of the page is not. */
function paintMark() {
  const mark = document.getElementById("socket");
  const state = { unread: "reading", failed: "partly", old: "partly" }[whole] ?? socket;
  const text = state ? word(`socket_${state}`) : "";
  mark.className = state ? `socket-${state}` : "";
  if (mark.textContent !== text) mark.textContent = text;
}

/** Above all: that nothing answers, or that not all of the page may be gone by. Before anything was asked it is the gate's. */
function paintBanner(reading) {
  const names = reading.names();
  if (!names.length) return;
  const lost = names.filter(reading.lost);
  const read_at = lost.map((name) => reading.stand(name).read_at);
  const text = !lost.length ? ""
    : lost.length < names.length || (read_at.includes(0) && read_at.some(Boolean)) ? word("partly_read")
      : read_at.includes(0) ? word("offline_unread") : `${word("offline")} ${clockTime(instant(Math.min(...read_at)))}`;
  const banner = document.getElementById("offline");
  banner.hidden = !text;
  if (banner.textContent !== text) banner.textContent = text;
}

const tip = () => document.getElementById("tip");

/** Shows lines beside the pointer or the focused node until `hideTip`. */
export function showTip(lines, event) {
  const box = tip();
  box.replaceChildren(...lines.filter(Boolean).map((line) => h("div", null, line)));
  box.hidden = false;
  const at = event.clientX ? { x: event.clientX, y: event.clientY } : centreOf(event.target);
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, Math.min(at.x + 14, innerWidth - width - 8))}px`;
  box.style.top = `${Math.max(4, at.y + 18 + height > innerHeight ? at.y - height - 10 : at.y + 18)}px`;
}
export const hideTip = () => { tip().hidden = true; };

function centreOf(node) {
  const box = node.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
}

/** At most one run every `pause_ms`, and always one after the last call. */
export function throttled(run, pause_ms) {
  let timer = 0;
  let last = -Infinity;
  return () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; last = performance.now(); run(); }, Math.max(0, last + pause_ms - performance.now()));
  };
}
