// The page of the water: every level of the officer's districts, live and the gravest first; rain and radar on the map.
// It reads, filters and listens; rows, panel and pictures draw themselves (water_table, water_post, water_picture).

import { api, signedIn, spoken } from "./session.js";
import { openGate } from "./gate.js";
import { clockTime, h, learnClock, paintSocket, refill, serverNow, span, throttled } from "./page.js";
import { reader } from "./reading.js";
import { language, named, word } from "./words.js";
import { listen } from "./live.js";
import { chooseOnMap, drawMap, legend, paintMap } from "./map.js";
import { byDanger, row, standOf, STANDS, tableHead } from "./water_table.js";
import { readPost, showPost } from "./water_post.js";
import { leavePictures, readPictures, showPictures, wirePictures } from "./water_picture.js";

const POLL_MS = 15000;
const QUIET_MS = 60000; // a replay's clock stands between frames; only a longer silence makes its water older
const FIRST_ON_PHONE = 25;
const KINDS = ["reservoir", "river", "tide"];
const box = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 700px)");
const fresh = () => ({ me: null, places: null, levels: null, read_at: 0, socket: "joining", stand: "", all: false, code: "", told: null, fault: "" });
let now = fresh();
let stop = () => {};
let drawn = "";

// Reading

const reading = reader(() => paint(), (3 * POLL_MS) / 1000);
const readLevels = () => reading.read("levels", "live/levels", (answer) => { [now.levels, now.read_at] = [answer, serverNow()]; readOpen(); });

const readClock = () => api("console/dispatches?limit=1").then((answer) => learnClock(answer.as_of)).catch(() => {});
const refresh = throttled(() => { readLevels(); readPictures(reading); }, 2000);
const readOpen = throttled(openAgain, 10000);

/** Seconds by which the items are older than they say. */
function more_s() {
  const since = now.places?.synthetic.replay ? reading.stand("levels").read_at + QUIET_MS : now.read_at;
  return Math.max(0, (serverNow() - since) / 1000);
}

async function openAgain() {
  const { code } = now;
  if (!code || !now.levels || !signedIn()) return;
  try {
    const told = await readPost(code, now.levels.as_of);
    if (code !== now.code) return; // another was opened meanwhile
    [now.told, now.fault] = [told, ""];
  } catch (error) {
    if (code !== now.code) return;
    now.fault = spoken(error);
  }
  paintPost();
}

function open(code) {
  const again = code === now.code;
  [now.code, now.told, now.fault] = [again ? "" : code, null, ""];
  drawn = "";
  paint();
  openAgain();
}

// Painting

const placeOf = (item) => {
  const street = now.streets.get(item.region);
  const district = now.districts.get(street ? street.district : item.region);
  return [now.districts.size > 1 || !street ? district?.name : "", street?.name].filter(Boolean).join(" · ");
};

/** What the filters leave, but for the status; a street or district by its code's own regions. */
function wanted(items) {
  const text = box("search").value.trim().toLowerCase();
  const kind = box("kind").value;
  const place = box("place").value;
  return items.filter((item) => (!kind || item.kind === kind)
    && (!place || item.region === place || now.streets.get(item.region)?.district === place)
    && (!text || [item.name, item.station, placeOf(item)].some((word_) => word_.toLowerCase().includes(text))));
}

function paint() {
  if (!now.places || !now.levels) return;
  const older_s = more_s();
  const items = wanted(now.levels.items);
  paintFigures(items, older_s);
  const shown = items.filter((item) => !now.stand || standOf(item, older_s) === now.stand).sort(byDanger(older_s));
  const text = JSON.stringify([shown, now.code, now.all, language(), narrow.matches, shown.map((item) => standOf(item, older_s))]);
  if (text !== drawn) paintRows(shown, older_s);
  drawn = text;
  box("shown").textContent = `${shown.length} / ${now.levels.items.length} ${word("posts_unit")}`;
  box("as-of").textContent = `${word("water_time")} ${clockTime(now.levels.as_of)}`;
  paintMap({ readings: new Map(now.levels.items.map((item) => [item.station, { ...item, status: standOf(item, older_s) }])), read_at: serverNow() - older_s * 1000 });
  paintPost();
}

function paintRows(shown, older_s) {
  const most = narrow.matches && !now.all ? FIRST_ON_PHONE : Infinity;
  const rows = shown.slice(0, most).map((item) => row(item, { place: placeOf(item), made_up: now.made_up.has(item.station), more_s: older_s, chosen: item.station === now.code, open }));
  const rest = shown.length - rows.length;
  const nothing = now.levels.items.length ? [word("no_match"), " ", h("button.plain", { type: "button", onclick: clear }, word("clear_filters"))] : word("no_levels");
  const table = rows.length ? h("div.scroll", { id: "levels-scroll", tabindex: 0 }, h("table.levels", null, tableHead(), h("tbody", null, rows))) : h("p.empty", null, nothing);
  refill(box("levels"), table, rest > 0 ? h("button", { type: "button", class: "rest", onclick: () => { now.all = true; paint(); } }, `${word("show_rest")} ${rest} ${word("posts_unit")}`) : null);
}

function clear() {
  box("search").value = box("kind").value = box("place").value = now.stand = "";
  chooseOnMap("");
  paint();
}

function paintFigures(items, older_s) {
  const counts = new Map(STANDS.map((stand) => [stand, 0]));
  for (const item of items) counts.set(standOf(item, older_s), (counts.get(standOf(item, older_s)) ?? 0) + 1);
  const sure = reading.stand("levels").state === "read"; // else no zero stands
  const figure = (stand, count) => h("li", { class: `stand-${stand || "all"}${count ? "" : " calm"}` },
    h("button", { type: "button", id: `figure-${stand || "all"}`, "aria-pressed": String(now.stand === stand), onclick: () => { now.stand = now.stand === stand ? "" : stand; paint(); } },
      h("b", null, count || sure ? count : "–"), h("span", null, stand ? named("stand", stand) : word("all"))));
  refill(box("figures"), figure("", items.length), [...counts].map(([stand, count]) => figure(stand, count)));
  const grave = counts.get("check") + counts.get("design") + counts.get("over");
  document.title = `${grave ? `(${grave}) ` : ""}${word("water_title")}`;
}

function paintPost() {
  const item = now.code && now.levels?.items.find((one) => one.station === now.code);
  box("post").hidden = !item;
  document.body.classList.toggle("post-open", Boolean(item));
  if (!item) return;
  const rain = box("post").querySelector("details")?.open;
  showPost(box("post"), item, now.told, { place: placeOf(item), made_up: now.made_up.has(item.station), more_s: more_s(), as_of: now.levels.as_of, fault: now.fault, close: () => open(now.code) });
  if (rain) box("post").querySelector("details")?.setAttribute("open", "");
}

function tick() {
  if (!now.levels) return;
  const older_s = more_s();
  for (const node of document.querySelectorAll("[data-age]")) node.textContent = span(Number(node.dataset.age) + older_s);
}

const hearSocket = (state) => { now.socket = state; paintSocket(state); };

// Coming and going

async function know() {
  readClock(); // not waited for: it only corrects ages
  now.places = await api("console/map");
  now.streets = new Map(now.places.streets.map((street) => [street.code, street]));
  now.districts = new Map(now.places.districts.map((district) => [district.code, district]));
  now.made_up = new Set(now.places.stations.filter((station) => station.synthetic).map((station) => station.code));
}

function begin() {
  refresh();
  stop = listen(now.places.topics.filter((topic) => topic.startsWith("levels:")), { levels: refresh, board: () => {}, everything: refresh, state: hearSocket });
}

function leave() {
  stop();
  leavePictures();
  [now, drawn] = [fresh(), ""];
}

/** Everything that depends on the language. */
function dress() {
  const { stations, replay } = now.places.synthetic;
  box("synthetic").hidden = !stations && !replay;
  box("synthetic").textContent = [replay && word("replay"), stations && word("synthetic")].filter(Boolean).join(" · ");
  box("search").placeholder = word("search_hint");
  const kept = [box("kind").value, box("place").value];
  refill(box("kind"), h("option", { value: "" }, word("all_kinds")), KINDS.map((kind) => h("option", { value: kind }, word(kind))));
  const regions = now.districts.size > 1 ? now.places.districts : now.places.streets;
  refill(box("place"), h("option", { value: "" }, word("all_places")), regions.map((region) => h("option", { value: region.code }, region.name)));
  [box("kind").value, box("place").value] = kept;
  drawMap(box("map"), now.places, chooseStreet, open);
  refill(box("legend"), legend({ warnings: false }));
  paintSocket(now.socket);
  showPictures();
  drawn = "";
  paint();
}

/** A street on the map narrows the table to it; once more, and all are back. */
function chooseStreet(code) {
  const { name } = now.streets.get(code);
  box("search").value = box("search").value === name ? "" : name;
  chooseOnMap(box("search").value ? code : "");
  paint();
}

box("filters").onsubmit = (event) => event.preventDefault();
for (const id of ["search", "kind", "place"]) box(id).oninput = () => { now.all = false; paint(); };
narrow.onchange = () => paint();
addEventListener("resize", throttled(paintPost, 300));
addEventListener("keydown", (event) => { if (event.key === "Escape" && now.code) open(now.code); });
wirePictures();
setInterval(tick, 1000);
setInterval(() => { if (signedIn() && now.places) { refresh(); paint(); } }, POLL_MS);
setInterval(() => { if (signedIn()) readClock(); }, 300000);
openGate({ page: "water-page", reading, know, begin, leave, dress });
