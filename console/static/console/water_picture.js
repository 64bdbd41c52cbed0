// Rain and radar over the map, step by step: a slider that marks its gaps and what is only forecast, play and pause.

import { picture, signedIn } from "./session.js";
import { clockTime, h, percent, refill, s } from "./page.js";
import { either, word } from "./words.js";
import { forgetPicture, showPicture } from "./map.js";

const BEAT_MS = 350;
const REST_MS = 1400; // on the last step, before it begins again
const HOURS = 2;
const box = (id) => document.getElementById(id);
const fresh = () => ({ tab: "rain", lists: { rain: null, radar: null }, radar: "", at: null, playing: false });
let now = fresh();
let urls = new Map(); // door of a picture -> its object URL, kept while it is listed
let coming = new Map(); // door -> promise of its URL
let timer = 0;

/** Has both lists read by `reading`; what did not change costs a 304. Call it when water came in. */
export function readPictures(reading) {
  for (const tab of ["rain", "radar"]) reading.read(tab, `${tab}/frames?hours=${HOURS}`, (answer) => { now.lists[tab] = answer; letGo(); showPictures(); });
}

export function wirePictures() {
  for (const tab of ["rain", "radar"]) box(`tab-${tab}`).onclick = () => { now.tab = tab; now.at = null; pause(); showPictures(); };
  box("radars").onchange = () => { now.radar = box("radars").value; now.at = null; pause(); showPictures(); };
}

export function leavePictures() {
  pause();
  for (const url of urls.values()) { forgetPicture(url); URL.revokeObjectURL(url); }
  [urls, coming, now] = [new Map(), new Map(), fresh()];
}

const series = (item) => `${item.radar} · ${item.product}`;
const radars = () => [...new Set((now.lists.radar?.items ?? []).map(series))];

/** The steps on show, each {at, id, bbox, missing, ahead, …}, oldest first. */
function steps() {
  const items = now.lists[now.tab]?.items ?? [];
  if (now.tab === "rain") return items.some((item) => !item.missing) ? items.map((item) => ({ ...item, door: `rain/frames/${item.id}.png`, ahead: item.kind === "nowcast" })) : [];
  const chosen = radars().includes(now.radar) ? now.radar : radars()[0];
  return items.filter((item) => series(item) === chosen).map((item) => ({ ...item, door: `radar/frames/${item.id}.png`, ahead: false }));
}

/** The newest that was really seen; where nothing was, the last step. */
function newest(list) {
  const seen = list.map((step, i) => (step.missing || step.ahead ? -1 : i));
  return Math.max(...seen) >= 0 ? Math.max(...seen) : list.length - 1;
}

function place(list) {
  const found = now.at === null ? -1 : list.findIndex((step) => step.at === now.at);
  return found >= 0 ? found : newest(list);
}

/** Draws tabs, slider and scale anew, and the picture of the chosen step. */
export function showPictures() {
  for (const tab of ["rain", "radar"]) box(`tab-${tab}`).setAttribute("aria-pressed", String(now.tab === tab));
  box("map").dataset.tab = now.tab;
  box("player").dataset.reads = now.tab;
  const names = radars();
  box("radars").hidden = now.tab !== "radar" || names.length < 2;
  refill(box("radars"), names.map((name) => h("option", { value: name }, name)));
  if (names.includes(now.radar)) box("radars").value = now.radar;
  const list = steps();
  if (!now.lists[now.tab] || !list.length) {
    showPicture(null);
    box("frame-said").textContent = "";
    refill(box("player"), now.lists[now.tab] ? h("p.empty", null, word(now.tab === "rain" ? "no_rain_frames" : "no_radar"), " ", h("a", { href: "/console/feeds" }, word("see_feeds"))) : null);
    refill(box("scale"));
    return;
  }
  refill(box("player"), player(list));
  refill(box("scale"), scale(list));
  show(list, place(list));
}

function player(list) {
  const button = (id, text, label, run) => h("button", { type: "button", id, title: label, "aria-label": label, onclick: run }, text);
  const go = (i) => { const steps_now = steps(); now.at = steps_now[Math.max(0, Math.min(i, steps_now.length - 1))].at; show(steps_now, place(steps_now)); };
  const here = () => place(steps());
  return [
    h("div.slide", null,
      s("svg.strip", { viewBox: `0 0 ${list.length} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
        list.map((step, i) => s("rect", { class: `step ${step.missing ? "gap" : step.ahead ? "ahead" : "seen"}`, x: i + 0.06, y: 0, width: 0.88, height: 10, onclick: () => { pause(); go(i); } }))),
      h("input", { type: "range", id: "slider", min: 0, max: list.length - 1, step: 1, "aria-label": word("time_slider"), oninput: (event) => { pause(); go(Number(event.target.value)); } }),
      h("div.ends", null, h("span", null, clockTime(list[0].at).slice(-5)), h("span.keys", null, key("seen", "observed_mark"), now.tab === "rain" ? key("ahead", "nowcast_mark") : null, key("gap", "gap_mark")), h("span", null, clockTime(list.at(-1).at).slice(-5)))),
    h("div.buttons", null,
      button("step-back", "‹", word("step_back"), () => { pause(); go(here() - 1); }),
      button("play", word(now.playing ? "pause" : "play"), word(now.playing ? "pause" : "play"), () => (now.playing ? pause() : play())),
      button("step-on", "›", word("step_on"), () => { pause(); go(here() + 1); }),
      h("button", { type: "button", id: "to-now", onclick: () => { pause(); now.at = null; show(steps(), place(steps())); } }, word("to_now")))];
}

const key = (cls, text) => h("span", null, s("svg.dot", { viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { class: `step ${cls}`, width: 10, height: 10 })), word(text));

function scale(list) {
  const rows = now.tab === "rain" ? now.lists.rain.scale : list.find((step) => step.scale?.length)?.scale ?? [];
  if (!rows.length) return h("p.quiet", null, word("no_scale"));
  const swatch = (colour, text) => h("li", null, s("svg", { viewBox: "0 0 34 10", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { width: 34, height: 10, fill: colour.slice(0, 7) })), text);
  return h("ul.scale", null, h("li.unit", null, word(now.tab === "rain" ? "mm_per_h" : "dbz")), rows.map(([from, colour]) => swatch(colour, `${from}`)),
    now.tab === "rain" ? swatch(now.lists.rain.missing_colour, word("missing")) : null);
}

async function show(list, i) {
  const step = list[i];
  const slider = box("slider");
  slider.value = i;
  document.querySelectorAll(".strip .step").forEach((node, n) => node.classList.toggle("here", n === i));
  slider.setAttribute("aria-valuetext", said(step).join(" "));
  sayFrame(step, "");
  if (step.missing) return showPicture(null);
  const wanted = `${now.tab} ${step.at}`;
  try {
    const url = await fetched(step.door);
    const shown = steps()[place(steps())];
    if (shown && wanted === `${now.tab} ${shown.at}`) showPicture(url, step.bbox);
  } catch {
    if (signedIn()) { showPicture(null); sayFrame(step, word("picture_failed")); }
  }
  return undefined;
}

/** How the shown step is named: time, minutes from the newest water, what it is, its doubts. */
function said(step) {
  const minutes = Math.round((Date.parse(step.at) - Date.parse(now.lists[now.tab].as_of)) / 60000);
  return [clockTime(step.at), `${minutes > 0 ? "+" : minutes < 0 ? "−" : "±"}${Math.abs(minutes)}${either("分", " min")}`,
    word(step.missing ? "gap_here" : step.ahead ? "nowcast_mark" : now.tab === "radar" ? "tab_radar" : "observed_mark"),
    step.radar ? series(step) : "", step.ahead && step.issued_at ? `${clockTime(step.issued_at).slice(-5)} ${word("issued")}` : "",
    step.missing_share > 0.005 ? `${word("cells_missing")} ${percent(step.missing_share)}` : "", step.spread ? word("spread_mark") : ""].filter(Boolean);
}

function sayFrame(step, fault) {
  const [at, apart, what, ...rest] = said(step);
  refill(box("frame-said"), h("b", null, at), h("span", null, apart), h("span.what", { class: step.missing ? "gap" : step.ahead ? "ahead" : "seen" }, what), h("small", null, [...rest, fault].filter(Boolean).join(" · ")));
}

/** The object URL of a picture, fetched once while it is listed. */
function fetched(door) {
  if (urls.has(door)) return Promise.resolve(urls.get(door));
  if (!coming.has(door)) {
    coming.set(door, picture(door).then((blob) => { const url = URL.createObjectURL(blob); urls.set(door, url); return url; }).finally(() => coming.delete(door)));
  }
  return coming.get(door);
}

/** Pictures no longer listed give their memory back. */
function letGo() {
  const listed = new Set(["rain", "radar"].flatMap((tab) => (now.lists[tab]?.items ?? []).map((item) => `${tab}/frames/${item.id}.png`)));
  for (const [door, url] of urls) if (!listed.has(door)) { forgetPicture(url); URL.revokeObjectURL(url); urls.delete(door); }
}

function play() {
  now.playing = true;
  paintPlay();
  const list = steps();
  if (place(list) === list.length - 1) now.at = list[0].at;
  beat();
}

async function beat() {
  clearTimeout(timer);
  if (!now.playing) return;
  const list = steps();
  if (!list.length) return pause();
  const i = place(list);
  await show(list, i);
  const next = list[(i + 1) % list.length];
  if (!next.missing) await fetched(next.door).catch(() => null); // no step is shown before its picture is here
  timer = setTimeout(() => { if (!now.playing) return; now.at = next.at; beat(); }, i === list.length - 1 ? REST_MS : BEAT_MS);
  return undefined;
}

function pause() {
  clearTimeout(timer);
  now.playing = false;
  paintPlay();
}

function paintPlay() {
  const button = box("play");
  if (!button) return;
  button.textContent = button.title = word(now.playing ? "pause" : "play");
  button.setAttribute("aria-label", button.title);
}
