// The page of people: who is to be called by hand, which places have nobody, who taps when the roll is called.

import { api } from "./session.js";
import { openGate } from "./gate.js";
import { figure, h, learnClock, refill } from "./page.js";
import { reader } from "./reading.js";
import { named, word } from "./words.js";
import { showCalls } from "./people_calls.js";
import { GRAVE, showCoverage } from "./people_coverage.js";
import { prepareProbe, showProbes } from "./people_probes.js";

const CALLS_EVERY_MS = 5000;
const REST_EVERY_MS = 60000;
const box = (id) => document.getElementById(id);
const fresh = () => ({ calls: null, coverage: null, probes: null, nights: null });
let parts = fresh(); // per part the answer; null: not read yet, or withheld
let me = null;
let done = false; // the calls that have their result
const reading = reader(() => paint(), (1.5 * REST_EVERY_MS) / 1000);

const doors = () => ({ calls: `calls?open=${done ? 0 : 1}`, coverage: "coverage", probes: "probes", nights: "coverage/nights" });

function read(part) {
  const within_s = part === "calls" ? 30 : undefined;
  reading.read(part, doors()[part], (answer) => { if (part === "coverage") learnClock(answer.as_of); parts[part] = answer; }, { within_s, onRefused: () => { parts[part] = null; } });
}

const readRest = () => { for (const part of ["coverage", "probes", "nights"]) read(part); };

function paint() {
  if (!me) return;
  paintFigures();
  if (parts.calls) showCalls(box("calls"), parts.calls.results, () => read("calls"));
  else refill(box("calls"));
  if (parts.coverage) showCoverage(box("coverage"), parts.coverage);
  if (parts.probes) showProbes(box("probes"), parts.probes.items);
  if (parts.nights) refill(box("nights"), nightsTable(parts.nights.items));
}

function paintFigures() {
  const calls = done ? null : parts.calls?.results;
  const faulty = (fault) => parts.coverage?.items.filter((item) => item.faults.includes(fault)).length;
  const figures = [
    ["calls", "to_call", calls && calls.filter((call) => !call.claimed_by).length, "red", parts.calls?.next ? "+" : ""], // a page is read
    ["calls", "held", calls && calls.filter((call) => call.claimed_by).length, "amber"],
    ["coverage", "nobody", faulty("no_responder"), "red"],
    ["coverage", "dark", faulty("no_live_device"), "red"],
    ["coverage", "untapped", faulty("no_recent_tap"), "amber"],
    ["coverage", "no_deputy", faulty("no_deputy"), "amber"],
  ];
  refill(box("figures"), figures.map(([part, name, ...each]) => figure(reading.stand(part), `figure_${name}`, ...each)));
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
openGate({ page: "people-page", reading, know, begin, leave, dress });
