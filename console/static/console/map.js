// The map: street zones coloured by warning level, reservoirs and rivers by status. Drawn once, painted often.
// No tiles and nothing from the internet: SVG from the street centres the server gives.

import { cells, closeGaps, plane } from "./zones.js";
import { fixed, h, hideTip, refill, s, serverNow, showTip, span } from "./page.js";
import { either, named, word } from "./words.js";

const REACH_KM = 6;
const MARGIN_KM = 3;
const NAMES_FROM = 2.2; // zoom at which street names fit
const LEVELS = ["none", "notice", "attention", "alert", "emergency"];
const KINDS = { RR: "reservoir", ZZ: "river", TT: "tide" };
const STATUSES = ["check", "design", "over", "near", "normal", "stale", "unknown"];

let svg = null;
let view = { x: 0, y: 0, w: 1, h: 1 };
let whole = view;
let streets = new Map(); // code -> {place, at, node, label}
let stations = new Map(); // code -> {place, at, node}
let painted = { level: new Map(), silent: new Set(), drill: new Set(), readings: new Map(), read_at: 0 };
let current = "";
let pick = () => {};
let pickStation = null;
let laid = null; // how pictures lie: {toKm, breaks, shifts, layer, shown: url -> node}

/** Draws `places` (answer of console/map) into the box; `onPick(code)` is told which street was chosen, `onStation(code)` which station. */
export function drawMap(box, places, onPick, onStation = null) {
  pick = onPick;
  pickStation = onStation;
  const toKm = plane(places.streets.length ? places.streets : [{ lon: 114, lat: 22.6 }]);
  const raw = places.streets.map((p) => toKm(p.lon, p.lat));
  const { move, breaks, shifts } = closeGaps(raw.map(([x]) => x), 25, 14);
  const at = (p) => { const [x, y] = toKm(p.lon, p.lat); return [move(x), y]; };
  const centres = places.streets.map(at);
  const shapes = cells(centres, REACH_KM);
  whole = frame(centres);
  view = { ...whole };
  const zoneLayer = s("g");
  const borders = s("path.border", { d: borderPath(shapes, places.streets) });
  streets = new Map(places.streets.map((place, i) => [place.code, { place, at: centres[i], node: zone(place, shapes[i]), outline: s("path.outline", { d: closed(shapes[i]) }), label: name(place.name, centres[i], "street-name") }]));
  zoneLayer.append(...[...streets.values()].map((street) => street.node));
  stations = new Map(places.stations.map((place) => [place.code, { place, at: at(place), node: symbol(place) }]));
  laid = { toKm, breaks, shifts, layer: s("g.pictures"), shown: new Map() };
  svg = s("svg.map", { viewBox: "0 0 1 1", role: "application", "aria-label": word("map") },
    patterns(), zoneLayer, laid.layer, borders, [...streets.values()].map((street) => street.outline),
    s("g", { class: "street-names" }, [...streets.values()].map((street) => street.label)),
    s("g", { class: "symbols" }, [...stations.values()].map((station) => station.node)),
    s("g", { class: "district-names" }, places.districts.map((place) => name(place.name, at(place), "district-name"))),
    breaks.map((x) => breakMark(x)));
  refill(box, svg, zoomButtons());
  moveByHand();
  show();
  roam(places.streets[0]?.code);
}

/** Lays one picture over the zones, north up over `bbox` [west, south, east, north]; null takes it away. A url is drawn once. */
export function showPicture(url, bbox) {
  if (!laid) return;
  for (const node of laid.shown.values()) node.setAttribute("visibility", "hidden");
  if (!url) return;
  if (!laid.shown.has(url)) {
    laid.shown.set(url, s("g", null, pieces(url, bbox)));
    laid.layer.append(laid.shown.get(url));
  }
  laid.shown.get(url).setAttribute("visibility", "visible");
}

export function forgetPicture(url) {
  laid?.shown.get(url)?.remove();
  laid?.shown.delete(url);
}

/** The picture once for each part of a broken map, cut at the breaks and moved with its part. */
function pieces(url, [west, south, east, north]) {
  const [left, top] = laid.toKm(west, north);
  const [right, bottom] = laid.toKm(east, south);
  const edges = [Math.min(whole.x, left) - 1, ...laid.breaks, Math.max(whole.x + whole.w, right) + 1];
  return laid.shifts.map((shift, i) => {
    const box = { x: edges[i], y: top, width: edges[i + 1] - edges[i], height: bottom - top };
    return s("svg", { ...box, viewBox: `${box.x} ${box.y} ${box.width} ${box.height}`, preserveAspectRatio: "none" },
      s("image", { href: url, x: left - shift, y: top, width: right - left, height: bottom - top, preserveAspectRatio: "none" }));
  });
}

/** Colours the map: `level` street -> 0..4, `silent` and `drill` street codes, `readings` station -> item of live/levels as of `read_at`. */
export function paintMap(next) {
  painted = { ...painted, ...next };
  for (const [code, street] of streets) {
    street.node.setAttribute("class", `zone level-${painted.level.get(code) ?? 0}`);
    const marks = [painted.drill.has(code) && "drill", painted.silent.has(code) && "silent", code === current && "chosen"];
    street.outline.setAttribute("class", ["outline", ...marks.filter(Boolean)].join(" ")); // above its neighbours
    street.node.setAttribute("aria-label", streetLines(code).join(", "));
  }
  for (const [code, station] of stations) {
    station.node.setAttribute("class", `symbol ${station.place.kind} status-${painted.readings.get(code)?.status ?? "unknown"}`);
  }
  const graver = (node) => -STATUSES.indexOf(/status-(\w+)/.exec(node.getAttribute("class"))[1]);
  const layer = svg?.querySelector(".symbols");
  if (layer) layer.append(...[...layer.children].sort((a, b) => graver(a) - graver(b))); // the worst on top
}

export function chooseOnMap(code) {
  current = code;
  roam(code);
  paintMap({});
}

export function legend({ warnings = true } = {}) {
  const mark = (cls) => s("svg.key", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, cls);
  return h("ul.legend", null,
    warnings ? [LEVELS.slice(1).map((level, i) => h("li", null, mark(s("rect", { class: `zone level-${i + 1}`, x: -8, y: -8, width: 16, height: 16 })), named("level", level))),
      h("li", null, mark(s("rect", { class: "zone level-0 silent", x: -7, y: -7, width: 14, height: 14 })), word("legend_silent")),
      h("li", null, mark(s("rect", { class: "zone level-0 drill", x: -7, y: -7, width: 14, height: 14 })), word("drill"))] : null,
    Object.keys(KINDS).map((kind) => h("li", null, mark(shape(kind)), word(KINDS[kind]))),
    STATUSES.map((status) => h("li", null, mark(s("g", { class: `symbol ZZ status-${status}` }, shape("ZZ"))), word(`station_${status}`))),
    h("li.note", null, word("map_note")));
}

function frame(centres) {
  const xs = centres.map(([x]) => x);
  const ys = centres.map(([, y]) => y);
  const pad = REACH_KM + MARGIN_KM - 3;
  const x = Math.min(...xs, 0) - pad;
  const y = Math.min(...ys, 0) - pad;
  return { x, y, w: Math.max(...xs, 1) + pad - x, h: Math.max(...ys, 1) + pad - y };
}

const closed = (corners) => `M${corners.map((c) => `${c.x.toFixed(2)},${c.y.toFixed(2)}`).join("L")}Z`;

function zone(place, corners) {
  const node = s("path.zone", { d: closed(corners), tabindex: -1, role: "button", id: `zone-${place.code}` });
  const lines = (event) => showTip(streetLines(place.code), event);
  node.addEventListener("mousemove", lines);
  node.addEventListener("focus", lines);
  node.addEventListener("mouseleave", hideTip);
  node.addEventListener("blur", hideTip);
  node.addEventListener("click", () => pick(place.code));
  node.addEventListener("keydown", (event) => step(event, place.code));
  return node;
}

function streetLines(code) {
  const level = painted.level.get(code) ?? 0;
  return [streets.get(code).place.name, level ? named("level", LEVELS[level]) : "", painted.silent.has(code) ? word("legend_silent") : "", painted.drill.has(code) ? word("drill") : ""].filter(Boolean);
}

/** Edges between streets of different districts, and the outer limit. */
function borderPath(shapes, places) {
  const parts = [];
  shapes.forEach((corners, own) => corners.forEach((from, i) => {
    const foreign = from.by < 0 || (places[from.by].district !== places[own].district && own < from.by);
    const to = corners[(i + 1) % corners.length];
    if (foreign) parts.push(`M${from.x.toFixed(2)},${from.y.toFixed(2)}L${to.x.toFixed(2)},${to.y.toFixed(2)}`);
  }));
  return parts.join("");
}

function shape(kind) {
  if (kind === "RR") return s("path", { d: "M0,-6L6,5H-6Z", fill: "url(#hatch)" });
  return kind === "TT" ? s("path", { d: "M0,-6L6,0L0,6L-6,0Z", fill: "url(#hatch)" }) : s("circle", { r: 4.5, fill: "url(#hatch)" });
}

function symbol(place) {
  const node = s("g", { class: `symbol ${place.kind} status-unknown` }, shape(place.kind));
  node.addEventListener("mousemove", (event) => showTip(stationLines(place), event));
  node.addEventListener("mouseleave", hideTip);
  if (pickStation) node.addEventListener("click", () => pickStation(place.code));
  return node;
}

function stationLines(place) {
  const seen = painted.readings.get(place.code);
  const title = `${place.name} · ${word(KINDS[place.kind])}${place.synthetic ? ` · ${word("synthetic_mark")}` : ""}`;
  if (!seen || seen.level_m === null || seen.level_m === undefined) return [title, word("no_reading")];
  const over = seen.over_m ?? null;
  return [title, `${word(`station_${seen.status}`)} · ${word("level_now")} ${fixed(seen.level_m, 2)} m`,
    seen.limit_m === null ? null : `${word("limit")} (${named("limit", seen.limit_kind)}) ${fixed(seen.limit_m, 2)} m`,
    over === null ? null : `${word(over > 0 ? "over_by" : "below_by")} ${fixed(Math.abs(over), 2)} m`,
    seen.rate_m_per_h === null ? null : `${word("trend")} ${seen.rate_m_per_h > 0 ? "+" : ""}${fixed(seen.rate_m_per_h, 2)} m/h`,
    `${word("observed")} ${span(seen.age_s + (serverNow() - painted.read_at) / 1000)}${either("前", " ago")}`];
}

function name(text, [x, y], cls) {
  return s("text", { class: cls, "data-x": x, "data-y": y, "text-anchor": "middle" }, text);
}

function breakMark(x) {
  const line = s("path.break", { d: `M${x},${whole.y}V${whole.y + whole.h}` });
  return s("g", null, line, name(word("map_break"), [x, whole.y + whole.h - 2], "break-name"));
}

function patterns() {
  return s("defs", null, s("pattern", { id: "hatch", width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("rect", { width: 4, height: 4, fill: "#3a4450" }), s("rect", { width: 1.6, height: 4, fill: "#aab4bf" })));
}

// Moving about: buttons, wheel, drag and arrow keys

function show() {
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  const zoom = whole.w / view.w;
  const unit = kmPerPixel();
  for (const { at: [x, y], node } of stations.values()) node.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${unit.toFixed(4)})`);
  for (const text of svg.querySelectorAll("text")) text.setAttribute("transform", `translate(${text.dataset.x} ${text.dataset.y}) scale(${unit.toFixed(4)})`);
  svg.classList.toggle("close", zoom >= NAMES_FROM);
}

/** The map may be narrower than its box where its height is limited. */
const kmPerPixel = () => Math.max(view.w / Math.max(300, svg.clientWidth || 900), svg.clientHeight ? view.h / svg.clientHeight : 0);

function zoomBy(factor, x = view.x + view.w / 2, y = view.y + view.h / 2) {
  const w = Math.min(whole.w, Math.max(8, view.w / factor));
  const f = w / view.w;
  place({ x: x - (x - view.x) * f, y: y - (y - view.y) * f, w, h: view.h * f });
}

function place(next) {
  const clamp = (value, low, high) => Math.max(low, Math.min(value, high));
  view = { ...next, x: clamp(next.x, whole.x, whole.x + whole.w - next.w), y: clamp(next.y, whole.y, whole.y + whole.h - next.h) };
  show();
}

function zoomButtons() {
  const button = (text, run) => h("button", { type: "button", onclick: run, "aria-label": `${word("map")} ${text}` }, text);
  return h("div.zoom", null, button("+", () => zoomBy(1.6)), button("−", () => zoomBy(1 / 1.6)), button(word("map_whole"), () => place({ ...whole })));
}

function moveByHand() {
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    zoomBy(event.deltaY < 0 ? 1.25 : 0.8, point.x, point.y);
  }, { passive: false });
  let from = null;
  svg.addEventListener("pointerdown", (event) => { from = { x: event.clientX, y: event.clientY, view: { ...view } }; });
  addEventListener("pointerup", () => { from = null; });
  svg.addEventListener("pointermove", (event) => {
    if (!from || Math.hypot(event.clientX - from.x, event.clientY - from.y) < 4) return;
    const unit = kmPerPixel();
    place({ ...from.view, x: from.view.x - (event.clientX - from.x) * unit, y: from.view.y - (event.clientY - from.y) * unit });
  });
  addEventListener("resize", () => show());
}

/** One street at a time is reachable by Tab; the arrows lead to its neighbours. */
function roam(code) {
  for (const [own, street] of streets) street.node.setAttribute("tabindex", own === code ? 0 : -1);
}

function step(event, code) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === "Enter" || event.key === " ") pick(code);
  else if (event.key === "+" || event.key === "=") zoomBy(1.6, ...streets.get(code).at);
  else if (event.key === "-") zoomBy(1 / 1.6);
  else if (way) {
    const [x, y] = streets.get(code).at;
    const cost = ([ox, oy]) => {
      const along = (ox - x) * way[0] + (oy - y) * way[1];
      const aside = Math.abs((ox - x) * way[1]) + Math.abs((oy - y) * way[0]);
      return along > 0.2 ? along + 2 * aside : Infinity;
    };
    const [next] = [...streets].filter(([own]) => own !== code).sort((a, b) => cost(a[1].at) - cost(b[1].at));
    if (next && cost(next[1].at) < Infinity) { roam(next[0]); next[1].node.focus(); }
  } else return;
  event.preventDefault();
}
