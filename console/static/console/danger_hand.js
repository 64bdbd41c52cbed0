// The dialog by which a person raises, extends, upgrades, holds, lowers or ends a warning. The note is kept in the chain.

import { api, newKey } from "./session.js";
import { attempt, h, refill } from "./page.js";
import { named, word } from "./words.js";
import { levelNumber } from "./warnings.js";

const LEVELS = ["notice", "attention", "alert", "emergency"];
const HAZARDS = ["rainstorm", "flood"];
const SHOWS = { // per verb the fields it has
  raise: ["hazard", "level", "hours", "streets", "district"], upgrade: ["level", "hours", "streets"], extend: ["level", "hours", "streets"],
  downgrade: ["level", "hours", "streets"], hold: ["hours", "streets"], cancel: ["hours"],
};
const dialog = () => document.getElementById("hand");
const form = () => dialog().querySelector("form");
let places = { districts: [], streets: [], desk: [] };

export function prepareHand(known) {
  places = known;
  refill(form().elements.hazard, HAZARDS.map((hazard) => h("option", { value: hazard }, named("hazard", hazard))));
  const city = places.desk.some((region) => region.level === "city");
  const own = new Set(places.desk.map((region) => region.code));
  refill(form().elements.district, places.districts.filter((region) => city || own.has(region.code)).map((region) => h("option", { value: region.code }, region.name)));
  form().elements.district.onchange = () => drawStreets("raise", null);
  dialog().querySelector(".close").onclick = () => dialog().close();
}

/** `warning` is null for a new one; `onDone(warning)` after the server has done it. */
export function openHand(verb, warning, onDone) {
  document.getElementById("hand-head").textContent = `${word(`verb_${verb}`)}${warning ? ` · ${warning.station?.name ?? warning.region.name}` : ""}`;
  document.getElementById("hand-drill").hidden = !warning?.drill;
  const shown = SHOWS[verb].filter((name) => !(warning?.station && name === "streets"));
  for (const name of ["hazard", "level", "hours", "streets", "district"]) document.getElementById(`hand-${name}`).hidden = !shown.includes(name);
  const now = warning ? levelNumber(warning.level) : 0;
  const open = LEVELS.filter((level) => verb === "upgrade" ? levelNumber(level) > now : verb === "downgrade" ? levelNumber(level) < now : verb === "extend" ? levelNumber(level) <= now : true);
  refill(form().elements.level, open.map((level) => h("option", { value: level }, named("level", level))));
  if (verb === "downgrade" || verb === "extend") form().elements.level.value = open[open.length - 1] ?? "";
  drawStreets(verb, warning);
  form().elements.note.value = "";
  form().querySelector(".fault").textContent = "";
  form().onsubmit = (event) => { event.preventDefault(); send(verb, warning, shown, onDone); };
  dialog().showModal();
}

/** Of a new one the district's streets; to extend, those that are not in it; else those that are, all ticked. */
function drawStreets(verb, warning) {
  const district = warning ? warning.region.code : form().elements.district.value;
  const inside = new Map((warning?.streets ?? []).filter((street) => levelNumber(street.level)).map((street) => [street.code, street]));
  const all = places.streets.filter((street) => street.district === district);
  const offered = verb === "raise" ? all : verb === "extend" ? all.filter((street) => !inside.has(street.code)) : [...inside.values()];
  refill(dialog().querySelector(".ticks"), offered.map((street) => h("label", null,
    h("input", { type: "checkbox", name: "street", value: street.code, checked: verb !== "raise" && verb !== "extend" }), street.name,
    street.level ? h("small", null, named("level", street.level)) : null)));
}

async function send(verb, warning, shown, onDone) {
  const fields = form().elements;
  const body = { note: fields.note.value };
  if (shown.includes("hours")) body.hours = Number(fields.hours.value);
  if (shown.includes("level")) body.level = fields.level.value;
  if (shown.includes("streets")) body.streets = [...form().querySelectorAll("input[name=street]:checked")].map((tick) => tick.value);
  if (verb === "raise") body.hazard = fields.hazard.value;
  await attempt(form().querySelector(".fault"), async () => {
    const moved = await api(warning ? `warnings/${warning.id}/${verb}` : "warnings", { method: "POST", body, key: newKey() });
    dialog().close();
    onDone(moved);
  });
}
