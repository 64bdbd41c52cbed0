// The page of drills: plan one, run it, and the grade of it street by street.

import { api, newKey } from "./session.js";
import { openGate } from "./gate.js";
import { attempt, clockTime, h, percent, refill, span } from "./page.js";
import { reader, rows } from "./reading.js";
import { either, named, word } from "./words.js";
import { preparePlan } from "./drills_plan.js";

const EVERY_MS = 5000;
const VERBS = { planned: ["begin"], running: ["pause", "end"], paused: ["resume", "end"], ended: [] };
const box = (id) => document.getElementById(id);
let me = null;
let places = null;
let list = null;
let chosen = Number(new URLSearchParams(location.search).get("id")) || null;
let one = null;
let grade = null;
let note = "";
const reading = reader(() => paint());

function readAll() {
  reading.read("list", "drills", (answer) => { list = rows(answer); });
  if (!chosen) return;
  reading.read("one", `drills/${chosen}`, (answer) => { one = answer; });
  reading.read("grade", `drills/${chosen}/grade`, (answer) => { grade = answer; }, { onRefused: () => { grade = null; } });
}

function choose(id) {
  [chosen, one, grade] = [id, null, null];
  for (const name of ["one", "grade"]) reading.forget(name);
  box("one").dataset.reads = "one grade";
  history.replaceState(null, "", `?id=${id}`);
  paint();
  readAll();
}

function paint() {
  if (!me) return;
  const running = (list ?? []).filter((drill) => drill.state === "running" || drill.state === "paused");
  box("under-way").hidden = !running.length;
  box("under-way").textContent = running.map((drill) => `${word("drill_under_way")}：${drill.name}（${named("drill_state", drill.state)}）`).join(" · ");
  if (list) refill(box("list"), list.length ? list.map(row) : h("p.empty", null, word("drills_none")));
  refill(box("one"), one ? whole(one) : chosen ? null : h("p.empty", null, word("drill_pick")));
}

const row = (drill) => h("button.row", { type: "button", id: `drill-${drill.id}`, "aria-pressed": String(drill.id === chosen), onclick: () => choose(drill.id) },
  h("span", null, drill.name, h("small", null, `${drill.authority.name} · ${clockTime(drill.began_at ?? drill.created_at)}`)),
  h("b", null, named("drill_state", drill.state)));

function whole(drill) {
  const commands = places.command.some((region) => region.level === "city" || region.code === drill.authority.code);
  const desks = places.desk.some((region) => region.level === "city" || region.code === drill.authority.code);
  const may = (verb) => (verb === "begin" ? commands : desks || commands);
  return [
    h("h2", null, h("span", null, h("span.badge.badge-drill", null, word("drill")), ` ${drill.name}`), h("small", null, `${named("drill_state", drill.state)}${drill.why ? ` · ${drill.why}` : ""}`)),
    h("p.quiet", null, `${drill.authority.name} · ${drill.duties.map((duty) => named("duty", duty)).join(either("、", ", "))} · ${word("drill_people")} ${drill.officers || "–"} · ${word("drill_frames")} ${drill.frames}${drill.slot_at ? ` · ${clockTime(drill.slot_at)}` : ""}`),
    VERBS[drill.state].length ? h("div", null,
      h("input", { id: "drill-note", placeholder: word("drill_note"), "aria-label": word("drill_note"), maxlength: 200, value: note, oninput: (event) => { note = event.currentTarget.value; } }),
      h("div.acts", null, VERBS[drill.state].map((verb) => h("button", { type: "button", id: `drill-${verb}`, class: verb === "end" ? "danger" : "primary", disabled: !may(verb), title: may(verb) ? null : word(verb === "begin" ? "command_only" : "desk_only"), onclick: () => act(drill, verb) }, word(`drill_${verb}`))))) : null,
    h("p.bad.fault", { id: `drill-fault-${drill.id}`, role: "alert" }),
    grade ? graded(grade) : h("p.empty", null, word("drill_ungraded")),
    drill.acts?.length ? [h("h4", null, word("drill_acts")), h("ul", null, drill.acts.map((done) => h("li", null, `${clockTime(done.at)} ${word(`drill_${done.act}`)}${done.note ? ` · ${done.note}` : ""}`)))] : null,
  ];
}

function graded(found) {
  const figure = (value, key) => h("div", null, h("b", null, value), h("span", null, word(key)));
  const streets = [...found.streets].sort((a, b) => (a.confirmed_in_5min_share ?? 0) - (b.confirmed_in_5min_share ?? 0));
  return [
    h("div.grade", null, figure(String(found.grade ?? "–"), "drill_grade"), figure(percent(found.delivered_share), "drill_delivered"), figure(percent(found.confirmed_in_5min_share), "drill_confirmed"),
      figure(String(found.people), "drill_people"), figure(String(found.messages), "drill_messages"), figure(span(found.paused_s), "drill_paused_s")),
    streets.length ? [h("h4", null, word("drill_streets")), h("div.scroll", { id: "grade-scroll", tabindex: 0 }, h("table", null,
      h("thead", null, h("tr", null, h("th", null, word("street")), ["drill_people", "drill_delivered", "drill_confirmed", "drill_median"].map((key) => h("th.number", null, word(key))))),
      h("tbody", null, streets.map((street) => h("tr", { class: street.nobody ? "nobody" : "" }, h("td", null, street.name, street.nobody ? ` · ${word("drill_nobody")}` : ""), h("td.number", null, String(street.people)),
        h("td.number", null, percent(street.delivered_share)), h("td.number", null, percent(street.confirmed_in_5min_share)), h("td.number", null, span(street.median_confirm_s)))))))] : null,
  ];
}

async function act(drill, verb) {
  if (!await attempt(`drill-fault-${drill.id}`, () => api(`drills/${drill.id}/${verb}`, { method: "POST", body: { note }, key: newKey() }))) return;
  note = "";
  reading.forget();
  readAll();
}

async function know(mine) {
  [me, places] = [mine, await api("console/map")];
}

function leave() {
  [me, places, list, one, grade] = [null, null, null, null, null];
  for (const id of ["list", "one"]) refill(box(id));
}

function dress() {
  document.title = word("drills_title");
  preparePlan(box("plan"), places, (drill) => choose(drill.id));
  paint();
}

setInterval(() => { if (me) readAll(); }, EVERY_MS);
box("one").dataset.reads = chosen ? "one grade" : "";
openGate({ page: "drills-page", reading, know, begin: readAll, leave, dress });
