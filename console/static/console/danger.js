// The page of warnings: what is in force, how each came about, and what a person may do about it.

import { api } from "./session.js";
import { openGate } from "./gate.js";
import { clockTime, h, refill, serverNow } from "./page.js";
import { reader, rows } from "./reading.js";
import { named, word } from "./words.js";
import { badge, drillMark, levelCode, levelNumber } from "./warnings.js";
import { openHand, prepareHand } from "./danger_hand.js";
import { showHeld, tickHeld } from "./danger_held.js";
import { forgetWhy, showOne } from "./danger_one.js";

const EVERY_MS = 10000;
const box = (id) => document.getElementById(id);
let me = null;
let places = null;
let past = false;
let chosen = Number(new URLSearchParams(location.search).get("id")) || null;
let list = null;
let held = [];
let storms = [];
let one = null;
const reading = reader(() => paint());

function readAll() {
  reading.read("list", past ? "warnings" : "warnings?active=1", (answer) => { list = rows(answer); });
  reading.read("held", "releases?open=1", (answer) => { held = answer.items; });
  reading.read("storms", "storms?active=1", (answer) => { storms = answer.items; });
  if (chosen) reading.read("one", `warnings/${chosen}`, (answer) => { one = answer; }, { onRefused: () => choose(null) });
}

function choose(id) {
  chosen = id;
  one = null;
  forgetWhy();
  reading.forget("one");
  box("one").dataset.reads = id ? "one" : "";
  history.replaceState(null, "", id ? `?id=${id}` : location.pathname);
  paint();
  if (id) readAll();
}

function paint() {
  if (!me) return;
  showHeld(box("held"), held, readAll);
  refill(box("storms"), storms.length ? h("div.storms", null, storms.map(storm)) : null);
  if (list) {
    const sorted = [...list].sort((a, b) => Boolean(a.ended_at) - Boolean(b.ended_at) || levelNumber(b.level) - levelNumber(a.level) || b.id - a.id);
    refill(box("list"), sorted.length ? sorted.map(row) : h("p.empty", null, word("warnings_none")));
  }
  if (one) showOne(box("one"), one, mayAct(one), (verb) => openHand(verb, one, done));
  else refill(box("one"), chosen ? null : h("p.empty", null, word("pick_warning")));
}

const storm = (cell) => h("span.storm", null, `${word("storm")} ${cell.id} · ${cell.streets.length} ${word("storm_streets")} · ${clockTime(cell.began_at)}–${clockTime(cell.last_at)}`,
  cell.people === undefined ? "" : ` · ${cell.people} ${word("storm_people")} · ${word("storm_rung")} ${cell.rung}`);

function row(warning) {
  const place = warning.station ? warning.station.name : warning.region.name;
  const streets = warning.streets.filter((street) => levelNumber(street.level)).length;
  return h("button.row", { type: "button", id: `row-${warning.id}`, class: `edge-${warning.drill ? "drill" : warning.ended_at ? "past" : levelCode(warning.level)}`, "aria-pressed": String(warning.id === chosen), onclick: () => choose(warning.id) },
    h("span", null, badge(warning.ended_at ? warning.peak_level : warning.level), drillMark(warning.drill)),
    h("span", null, place, h("small", null, `${named("hazard", warning.hazard)}${streets ? ` · ${streets} ${word("storm_streets")}` : ""}`)),
    h("small", null, warning.ended_at ? `${word("ended")} ${clockTime(warning.ended_at)}` : `${word("since")} ${clockTime(warning.raised_at)}`));
}

const desks = () => places?.desk ?? [];
const districtOf = (warning) => (warning.station ? places.streets.find((street) => street.code === warning.region.code)?.district : warning.region.code);
const mayAct = (warning) => !warning.ended_at && desks().some((region) => region.level === "city" || region.code === districtOf(warning));

function done(warning) {
  reading.forget();
  choose(warning.id);
}

async function know(mine) {
  [me, places] = [mine, await api("console/map")];
  box("raise").hidden = !desks().some((region) => region.level === "city" || region.level === "district");
}

function leave() {
  [me, places, list, one, held, storms] = [null, null, null, null, [], []];
  for (const id of ["held", "storms", "list", "one"]) refill(box(id));
}

function dress() {
  document.title = word("danger_title");
  prepareHand(places);
  paint();
}

box("past").onclick = () => { past = !past; box("past").setAttribute("aria-pressed", String(past)); readAll(); };
box("raise").onclick = () => openHand("raise", null, done);
setInterval(() => { if (me) readAll(); }, EVERY_MS);
setInterval(() => tickHeld(serverNow()), 1000);
box("one").dataset.reads = chosen ? "one" : "";
openGate({ page: "danger-page", reading, know, begin: readAll, leave, dress });
