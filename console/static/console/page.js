// Small tools of the page: building nodes, saying times, the one tooltip. No facts, no network.

import { either, word } from "./words.js";

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

/** Puts new children into a box; keyboard focus and the scroll of `.scroll` parts stay where they were (by id). */
export function refill(box, ...children) {
  const focused = box.contains(document.activeElement) ? document.activeElement.id : "";
  const tops = Array.from(box.querySelectorAll(".scroll[id]"), (part) => [part.id, part.scrollTop]);
  box.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const [id, top] of tops) if (document.getElementById(id)) document.getElementById(id).scrollTop = top;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
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

/** Once a second: the clock, every age (`data-since`), and the banner once nothing was heard for `most_s`; `heard_at` 0: not yet. */
export function tickPage(heard_at, most_s = 30) {
  document.getElementById("clock").textContent = clockFace();
  for (const node of document.querySelectorAll("[data-since]")) if (node.dataset.since) node.textContent = span(ageOf(node.dataset.since));
  if (!heard_at) return;
  const offline = document.getElementById("offline");
  offline.hidden = (serverNow() - heard_at) / 1000 < most_s;
  offline.textContent = `${word("offline")} ${clockTime(new Date(heard_at).toISOString())}`;
}

/** How the socket stands: live, joining or polling. */
export function paintSocket(state) {
  const mark = document.getElementById("socket");
  mark.className = `socket-${state}`;
  mark.textContent = word(`socket_${state}`);
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
