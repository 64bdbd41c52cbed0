// The page of people: who is to be called by hand, which places have nobody, who taps when the roll is called.

import { api, Refused, signedIn } from "./session.js";
import { openGate } from "./gate.js";
import { h, learnClock, refill, serverNow, tickPage } from "./page.js";
import { language, named, word } from "./words.js";
import { showCalls } from "./people_calls.js";
import { GRAVE, showCoverage } from "./people_coverage.js";
import { prepareProbe, showProbes } from "./people_probes.js";

const CALLS_EVERY_MS = 5000;
const REST_EVERY_MS = 60000;
const box = (id) => document.getElementById(id);
const fresh = () => ({ calls: null, coverage: null, probes: null, nights: null });
let parts = fresh(); // per part the answer, or {refused, message}; null: not read yet
let me = null;
let done = false; // the calls that have their result
let heard_at = 0;

const doors = () => ({ calls: `calls?open=${done ? 0 : 1}`, coverage: "coverage", probes: "probes", nights: "coverage/nights" });

async function read(part) {
  const path = doors()[part];
  try {
    const answer = await api(path);
    heard_at = serverNow();
    if (part === "coverage") learnClock(answer.as_of);
    if (path !== doors()[part]) return; // the other list was chosen meanwhile
    parts[part] = answer;
  } catch (error) {
    if (!signedIn()) return;
    if (error instanceof Refused && error.status < 500) { parts[part] = { refused: error.status, message: error.message }; heard_at = serverNow(); }
    else parts[part] ??= { refused: error.status ?? 0, message: error.message };
  }
  paint();
}

const readRest = () => { for (const part of ["coverage", "probes", "nights"]) read(part); };
const refused = (part) => parts[part]?.refused !== undefined;
const refusal = (part) => h("p.empty", null, parts[part].message);

function paint() {
  if (!me) return;
  paintFigures();
  if (refused("calls")) refill(box("calls"), refusal("calls"));
  else if (parts.calls) showCalls(box("calls"), parts.calls.results, () => read("calls"));
  if (refused("coverage")) refill(box("coverage"), refusal("coverage"));
  else if (parts.coverage) showCoverage(box("coverage"), parts.coverage);
  else refill(box("coverage"), h("p.quiet", null, word("loading")));
  if (refused("probes")) refill(box("probes"), refusal("probes"));
  else if (parts.probes) showProbes(box("probes"), parts.probes.items);
  if (refused("nights")) refill(box("nights"), refusal("nights"));
  else if (parts.nights) refill(box("nights"), nightsTable(parts.nights.items));
}

function paintFigures() {
  const calls = refused("calls") || done ? null : parts.calls?.results;
  const items = refused("coverage") ? null : parts.coverage?.items;
  const faulty = (fault) => (items ? items.filter((item) => item.faults.includes(fault)).length : null);
  const figures = [
    ["to_call", calls && calls.filter((call) => !call.claimed_by).length, "red", parts.calls?.next ? "+" : ""], // a page is read
    ["held", calls && calls.filter((call) => call.claimed_by).length, "amber"],
    ["nobody", faulty("no_responder"), "red"],
    ["dark", faulty("no_live_device"), "red"],
    ["untapped", faulty("no_recent_tap"), "amber"],
    ["no_deputy", faulty("no_deputy"), "amber"],
  ];
  refill(box("figures"), figures.map(([name, count, colour, more = ""]) =>
    h("li", { class: count ? colour : "calm" }, h("b", null, count === null || count === undefined ? "–" : `${count}${more}`), h("span", null, word(`figure_${name}`)))));
}

function nightsTable(items) {
  if (!items.length) return h("p.empty", null, word("nights_none"));
  return h("table", null,
    h("thead", null, h("tr", null, h("th", null, word("night_day")), h("th.number", null, word("night_faulty")), GRAVE.map((fault) => h("th.number", null, named("coverage_fault", fault))))),
    h("tbody", null, items.map((night) => h("tr", null, h("td", null, night.day), h("td.number", null, `${night.faulty}`),
      GRAVE.map((fault) => h("td.number", null, String(night.faults[fault] ?? 0)))))));
}

async function know(mine) {
  me = mine;
  prepareProbe(await api("console/map"), () => read("probes"));
  heard_at = serverNow();
}

function begin() {
  read("calls");
  readRest();
}

function leave() {
  [parts, me, done] = [fresh(), null, false];
  for (const id of ["calls", "coverage", "probes", "nights", "figures"]) refill(box(id));
}

function dress() {
  document.title = word("people_title");
  document.documentElement.lang = language();
  paint();
}

box("calls-done").onclick = () => {
  done = !done;
  box("calls-done").setAttribute("aria-pressed", String(done));
  parts.calls = null;
  read("calls");
};
setInterval(() => { if (me) read("calls"); }, CALLS_EVERY_MS);
setInterval(() => { if (me) readRest(); }, REST_EVERY_MS);
setInterval(() => tickPage(me ? heard_at : 0), 1000);
openGate({ page: "people-page", know, begin, leave, dress });
