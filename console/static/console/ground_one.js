// One report from the ground: what was seen, the water beside it then, its photos, its life, and the acts open to the reader.

import { api, newKey, picture, Refused } from "./session.js";
import { attempt, clockTime, fixed, h } from "./page.js";
import { codesOf, named, word } from "./words.js";

const GRAVITY = { minor: 1, moderate: 2, severe: 3, extreme: 4 };
const COLOURS = ["", "notice", "attention", "alert", "emergency"];
const SHOWN = new Set(["image/jpeg", "image/png", "image/webp"]); // a browser draws no HEIC
const photos = new Map(); // "id-number" -> object URL; null: on its way
let move = fresh();

function fresh() {
  return { note: "", officer: "", reason: "handled", duplicate_of: "", q: "", people: null };
}

/** 1 to 4; trapped people are as grave as it gets. */
export const gravity = (report) => (report.grave ? 4 : GRAVITY[report.severity]);
export const severityBadge = (report) => h(`span.badge.badge-${COLOURS[gravity(report)]}`, null, named("ground_severity", report.severity));

export function forgetOne() {
  move = fresh();
  for (const url of photos.values()) if (url) URL.revokeObjectURL(url);
  photos.clear();
}

/** Nodes of the right column. `on`: paint(), choose(id), changed(). */
export function showOne(report, on) {
  return [
    h("h2", null, h("span", null, severityBadge(report), ` ${named("ground_kind", report.kind)}`), h("small", null, `#${report.id} · ${named("ground_status", report.status)}`)),
    h("p", null, h("b", null, report.place), h("small", null, ` ${fixed(report.lon, 5)}, ${fixed(report.lat, 5)}`)),
    h("p.ground-text", null, report.text || "–"),
    h("p.quiet", null, `${word("ground_seen")} ${clockTime(report.at)} · ${word("ground_received")} ${clockTime(report.received_at)} · ${report.officer.name} ${report.officer.masked_phone}${report.officer.synthetic ? ` · ${word("synthetic_mark")}` : ""}`),
    report.assignee ? h("p.quiet", null, `${word("ground_sent")} ${report.assignee.name} ${report.assignee.masked_phone}`) : null,
    report.status === "closed" ? h("p", null, `${named("ground_reason", report.close_reason)} ${clockTime(report.closed_at)} `, report.duplicate_of ? link(report.duplicate_of, on) : null) : null,
    report.photos.length ? h("div.photos", null, report.photos.map((photo) => thumb(report, photo, on))) : null,
    report.near.count ? h("p.near", null, `${word("ground_near")} ${report.near.count} `, report.near.ids.slice(0, 12).map((id) => link(id, on))) : null,
    stamp(report.stamp),
    acts(report, on),
    h("h4", null, word("ground_events")),
    h("ul", null, report.events.map((event) => h("li.quiet", null, `${clockTime(event.at)} ${event.actor} ${event.before ? `${named("ground_status", event.before)} → ` : ""}${named("ground_status", event.after)}${event.assignee ? `（${event.assignee}）` : ""}${event.note ? ` · ${event.note}` : ""}`))),
  ];
}

const link = (id, on) => h("button.plain", { type: "button", id: `near-${id}`, onclick: () => on.choose(id) }, `#${id}`);

function thumb(report, photo, on) {
  const key = `${report.id}-${photo.number}`;
  const name = `${word("ground_photo")} ${photo.number}`;
  if (!photos.has(key)) fetchPhoto(report, photo, key, on);
  const url = photos.get(key);
  if (!url) return h("span.photo.quiet", null, `${name} …`);
  return h("a.photo", { href: url, target: "_blank", rel: "noopener", download: SHOWN.has(photo.media_type) ? null : `${key}.heic` },
    SHOWN.has(photo.media_type) ? h("img", { src: url, alt: name }) : `${name} · HEIC`);
}

async function fetchPhoto(report, photo, key, on) {
  photos.set(key, null);
  try {
    photos.set(key, URL.createObjectURL(await picture(`hazards/${report.id}/photos/${photo.number}`)));
    on.paint();
  } catch (error) {
    photos.delete(key); // fetched again at the next painting
    console.warn(key, error.message);
  }
}

/** The water at the moment of the report; what was not known then is a dash. */
function stamp({ as_of, gauge, street, levels }) {
  if (!as_of) return h("p.quiet", null, word("ground_no_stamp"));
  return h("section.stamp", null, h("h4", null, `${word("ground_stamp")} ${clockTime(as_of)}`),
    h("table", null, h("tbody", null,
      gauge ? h("tr", null, h("td", null, `${gauge.name} ${fixed(gauge.distance_km, 1)} km`), h("td.number", null, h("b", null, `${fixed(gauge.rain_60min_mm, 1)} mm`)), h("td", null, word("ground_hour"))) : null,
      street ? h("tr", null, h("td", null, street.name), h("td.number", null, h("b", null, `${fixed(street.station_max_mm, 1)} mm`)), h("td", null, `${word("ground_street")} ${fixed(street.mean_mm, 1)} mm`)) : null,
      (levels ?? []).map((level) => h("tr", null, h("td", null, `${level.name} ${fixed(level.distance_km, 1)} km`), h("td.number", null, h("b", { class: level.over_m > 0 ? "bad" : "" }, `${fixed(level.level_m, 2)} m`)),
        h("td", null, level.limit_kind ? `${named("limit", level.limit_kind)} ${fixed(level.limit_m, 2)}${level.over_m === null ? "" : `（${level.over_m > 0 ? "+" : ""}${fixed(level.over_m, 2)}）`} · ` : "", named("stand", level.status)))))));
}

function acts(report, on) {
  if (!report.acts.length) return null;
  const can = (verb) => report.acts.includes(verb);
  const keep = (name) => (event) => { move[name] = event.currentTarget.value; };
  return h("section.moves", null,
    can("assign") ? h("div.acts", null,
      h("input", { id: "people-q", placeholder: word("ground_find"), "aria-label": word("ground_find"), maxlength: 40, value: move.q, oninput: keep("q"), onchange: () => findPeople(report, on) }),
      h("select", { id: "people", "aria-label": word("ground_whom"), onfocus: () => { if (!move.people) findPeople(report, on); }, onchange: keep("officer") },
        h("option", { value: "" }, word("ground_whom")),
        (move.people ?? []).map((person) => h("option", { value: person.id, selected: String(person.id) === move.officer }, `${person.name} · ${person.region_name} ${named("duty", person.duty)} · ${person.masked_phone}`))),
      button("assign", word("ground_assign"), "primary", () => ({ officer: Number(move.officer) || null }), report, on)) : null,
    h("input", { id: "move-note", placeholder: word("ground_note_to"), "aria-label": word("ground_note_to"), maxlength: 500, value: move.note, oninput: keep("note") }),
    h("div.acts", null,
      can("progress") ? button("progress", word("ground_progress"), "", () => ({}), report, on) : null,
      can("close") ? [
        h("select", { id: "reason", "aria-label": word("ground_why"), onchange: (event) => { move.reason = event.currentTarget.value; on.paint(); } }, codesOf("ground_reason").map((code) => h("option", { value: code, selected: code === move.reason }, named("ground_reason", code)))),
        move.reason === "duplicate" ? h("input", { id: "duplicate-of", placeholder: word("ground_of"), "aria-label": word("ground_of"), inputmode: "numeric", maxlength: 12, list: "near-ids", value: move.duplicate_of, oninput: keep("duplicate_of") }) : null,
        h("datalist", { id: "near-ids" }, report.near.ids.map((id) => h("option", { value: id }))),
        button("close", word("ground_close"), "danger", () => ({ reason: move.reason, ...(move.reason === "duplicate" ? { duplicate_of: Number(move.duplicate_of) || 0 } : {}) }), report, on)] : null),
    h("p.bad.fault", { id: `move-fault-${report.id}`, role: "alert" }));
}

const button = (verb, text, style, body, report, on) => h("button", { type: "button", id: `move-${verb}`, class: style, onclick: () => press(verb, body(), report, on) }, text);

async function findPeople(report, on) {
  await attempt(`move-fault-${report.id}`, async () => {
    move.people = (await api(`hazards/${report.id}/people?q=${encodeURIComponent(move.q)}`)).items;
    move.officer = move.people.some((person) => String(person.id) === move.officer) ? move.officer : "";
    if (!move.people.length) throw new Refused(404, { message: word("ground_nobody") });
  });
  on.paint();
}

async function press(verb, body, report, on) {
  const said = Object.fromEntries(Object.entries({ note: move.note, ...body }).filter(([, value]) => value !== null));
  if (await attempt(`move-fault-${report.id}`, () => api(`hazards/${report.id}/${verb}`, { method: "POST", body: said, key: newKey() }))) {
    move = fresh();
    on.changed();
  }
}
