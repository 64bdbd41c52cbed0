// The page of reports from the ground: what officers saw, gravest first, and one of them with all that is known of it.

import { api } from "./session.js";
import { openGate } from "./gate.js";
import { ageOf, clockTime, figure, h, refill, span } from "./page.js";
import { pages, reader } from "./reading.js";
import { named, word } from "./words.js";
import { forgetOne, gravity, severityBadge, showOne } from "./ground_one.js";

const EVERY_MS = 10000;
const MOST_PAGES = 4;
const NARROW_PX = 820; // below it one column: the report stands under the list
const box = (id) => document.getElementById(id);
let me = null;
let places = null;
let past = false;
let region = "";
let reports = null;
let one = null; // the report looked at, with its events
let chosen = Number(location.hash.slice(1)) || null;
const reading = reader(() => paint());

function readAll() {
  const asked = [past ? "" : "open=1", region ? `region=${encodeURIComponent(region)}` : ""].filter(Boolean).join("&");
  const path = `hazards${asked ? `?${asked}` : ""}`;
  reading.read("reports", path, (answer) => { reports = answer; }, { load: (from) => pages(from, MOST_PAGES) });
  if (chosen) reading.read("one", `hazards/${chosen}`, (answer) => { one = answer; }, { onRefused: () => choose(null) });
}

function choose(id) {
  chosen = id;
  one = null;
  reading.forget("one");
  box("one").dataset.reads = id ? "one" : "";
  forgetOne();
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  paint();
  readAll();
}

function paint() {
  if (!me) return;
  paintFigures((reports ?? []).filter((report) => report.status !== "closed"));
  refill(box("one"), one ? showOne(one, { paint, choose, changed }) : chosen ? null : h("p.empty", null, word("ground_pick")));
  if (!reports) return;
  const ranked = [...reports].sort((a, b) => (a.status === "closed") - (b.status === "closed") || gravity(b) - gravity(a) || b.id - a.id);
  refill(box("list"), ranked.length ? ranked.map(row) : h("p.empty", null, word("ground_none")));
}

function paintFigures(open) {
  const waiting = open.filter((report) => report.status === "received");
  const oldest = waiting.reduce((age, report) => Math.max(age, ageOf(report.received_at)), 0);
  const figures = [
    ["ground_open", open.length, "amber"],
    ["ground_grave", open.filter((report) => report.grave).length, "red"],
    ["ground_waiting", waiting.length, "red"],
    ["ground_oldest", waiting.length ? span(oldest) : 0, "amber"],
  ];
  refill(box("figures"), figures.map((each) => figure(reading.stand("reports"), ...each)));
}

const row = (report) => h("button.row", { type: "button", id: `row-${report.id}`, class: report.status === "closed" ? "edge-past" : `edge-${["", "notice", "attention", "alert", "emergency"][gravity(report)]}`, "aria-pressed": String(report.id === chosen), onclick: () => { choose(report.id); if (innerWidth <= NARROW_PX) box("one").scrollIntoView(); } },
  h("span", null, severityBadge(report)),
  h("span", null, `${named("ground_kind", report.kind)} · ${report.place}`,
    h("small", null, `${clockTime(report.at)}（`, h("span", { "data-since": report.at }, span(ageOf(report.at))), "）", report.photos.length ? ` · ${word("ground_photos")} ${report.photos.length}` : "", report.near.count ? ` · ${word("ground_near")} ${report.near.count}` : "", report.officer.synthetic ? ` · ${word("synthetic_mark")}` : "")),
  h("span.status", { class: `ground-${report.status}` }, named("ground_status", report.status)));

/** Regions to look at: the districts and streets whose people are his. */
function fillRegions() {
  const own = places.streets.filter((street) => street.people);
  const groups = places.districts.map((district) => ({ district, streets: own.filter((street) => street.district === district.code) })).filter(({ streets }) => streets.length);
  const whole = (district) => me.regions.some((held) => held.level === "city" || held.code === district.code);
  refill(box("region"), h("option", { value: "" }, word("ground_all")), groups.map(({ district, streets }) => h("optgroup", { label: district.name },
    whole(district) ? h("option", { value: district.code, selected: region === district.code }, district.name) : null,
    streets.map((street) => h("option", { value: street.code, selected: region === street.code }, street.name)))));
}

/** After an act: everything is read again. */
function changed() {
  reading.forget();
  readAll();
}

async function know(mine) {
  [me, places] = [mine, await api("console/map")];
}

function leave() {
  [me, places, reports, one] = [null, null, null, null];
  forgetOne();
  for (const id of ["figures", "list", "one", "region"]) refill(box(id));
}

function dress() {
  document.title = word("ground_title");
  fillRegions();
  paint();
}

box("past").onclick = () => { past = !past; box("past").setAttribute("aria-pressed", String(past)); reports = null; readAll(); };
box("region").onchange = (event) => { region = event.currentTarget.value; reports = null; readAll(); };
setInterval(() => { if (me) readAll(); }, EVERY_MS);
box("one").dataset.reads = chosen ? "one" : "";
window.addEventListener("hashchange", () => { const id = Number(location.hash.slice(1)) || null; if (id !== chosen) choose(id); });
openGate({ page: "ground-page", reading, know, begin: readAll, leave, dress });
