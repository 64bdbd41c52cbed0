// The duty engineer's page: how every feed stands, what was not taken, what waits to be checked. Reads every 10 s.

import { openGate } from "./gate.js";
import { figure, h, learnClock, refill } from "./page.js";
import { reader } from "./reading.js";
import { language, word } from "./words.js";
import { showFeeds, tickMeters, waiting } from "./feed_list.js";
import { showChecks } from "./checks.js";
import { showPosts, showTelegrams } from "./doubtful.js";

const EVERY_MS = 10000;
const PAGE = 100; // rows of one answer; there may be more
const DESKS = { state: "refused", read_at: 0 }; // how checks stand for who holds no desk post
const box = (id) => document.getElementById(id);
const fresh = () => ({ feeds: null, checks: null, telegrams: null, posts: null });
let parts = fresh(); // per part its items; null: not read yet, or withheld
let drawn = {}; // per part the text it was drawn from: what did not change is left alone under the pointer
let me = null;
let only = ""; // key of the one feed whose doubtful rows are shown
const reading = reader(() => paint(), (2.5 * EVERY_MS) / 1000);

const doors = () => ({
  feeds: "feeds",
  checks: "checks?open=true",
  telegrams: `telegrams?doubtful=true${only && `&feed=${encodeURIComponent(only)}`}`,
  posts: `posts?refused=true${only && `&feed=${encodeURIComponent(only)}`}`,
});

function read(part) {
  const asked = part !== "checks" || me.duty.includes("desk"); // else the door would answer with an empty list, which would read as "all is well"
  box("checks").dataset.reads = me.duty.includes("desk") ? "checks" : "";
  if (asked) reading.read(part, doors()[part], (answer) => { if (part === "feeds") learnClock(answer.as_of); parts[part] = answer.items; }, { onRefused: () => { parts[part] = null; } });
}

const readAll = () => { for (const part of Object.keys(parts)) read(part); };
const readOn = () => { for (const part of Object.keys(parts)) if (part === "feeds" || reading.stand(part).status !== 403) read(part); }; // one of the refused tells that the line holds

function choose(key) {
  only = only === key ? "" : key;
  for (const part of ["telegrams", "posts"]) { parts[part] = null; read(part); }
  paint();
}

const feedNames = () => new Map((parts.feeds ?? []).map((feed) => [feed.feed, feed.name]));

function paint() {
  if (!me) return;
  const names = feedNames();
  draw("feeds", box("feed-list"), () => showFeeds(box("feed-list"), parts.feeds, only, choose));
  draw("checks", box("checks"), () => showChecks(box("checks"), parts.checks, () => read("checks")));
  draw("telegrams", box("telegrams"), () => showTelegrams(box("telegrams"), parts.telegrams, names, () => { read("telegrams"); read("feeds"); }));
  draw("posts", box("posts"), () => showPosts(box("posts"), parts.posts, names));
  box("only").hidden = !only;
  if (only) refill(box("only"), `${word("only_feed")} ${names.get(only) ?? only} `, h("button.plain", { type: "button", id: "only-all", onclick: () => choose(only) }, word("show_all")));
  paintFigures();
  tickMeters();
}

function draw(part, place, show) {
  const text = JSON.stringify([parts[part], only, language(), part === "telegrams" || part === "posts" ? [...feedNames()] : null]);
  if (drawn[part] === text) return;
  drawn[part] = text;
  if (parts[part]) show();
  else refill(place, part === "checks" && !place.dataset.reads ? h("p.empty", null, word("checks_desk_only")) : null);
}

function paintFigures() {
  const { feeds, checks, telegrams, posts } = parts;
  const count = (items, test = () => true) => (items ? items.filter(test).length : null);
  const most = (items) => (items?.length >= PAGE ? "+" : "");
  const silent = count(feeds, (feed) => feed.state === "silent" || (feed.state === "never" && !waiting(feed)));
  refill(box("figures"), [
    ["feeds", "fig_silent", silent, "red"], ["feeds", "fig_late", count(feeds, (feed) => feed.state === "late"), "amber"], ["feeds", "fig_alarms", count(feeds, (feed) => feed.alarm), "red"],
    ["checks", "fig_checks", count(checks), "amber"], ["telegrams", "fig_telegrams", count(telegrams), "amber", most(telegrams)], ["posts", "fig_posts", count(posts), "amber", most(posts)],
  ].map(([part, ...each]) => figure(part === "checks" && !box("checks").dataset.reads ? DESKS : reading.stand(part), ...each)));
  document.title = `${silent ? `(${silent}) ` : ""}${word("feeds_title")}`;
}

function know(mine) {
  me = mine;
}

function leave() {
  [parts, drawn, me, only] = [fresh(), {}, null, ""];
}

/** Everything that depends on the language; what the server worded is asked for again. */
function dress() {
  paint();
  readAll();
}

setInterval(tickMeters, 1000);
setInterval(() => { if (me) readOn(); }, EVERY_MS);
openGate({ page: "data-page", reading, know, leave, dress });
