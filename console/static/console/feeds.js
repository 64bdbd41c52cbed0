// The duty engineer's page: how every feed stands, what was not taken, what waits to be checked. Reads every 10 s.

import { api, Refused, signedIn } from "./session.js";
import { openGate } from "./gate.js";
import { h, learnClock, refill, serverNow, tickPage } from "./page.js";
import { language, word } from "./words.js";
import { showFeeds, tickMeters, waiting } from "./feed_list.js";
import { showChecks } from "./checks.js";
import { showPosts, showTelegrams } from "./doubtful.js";

const EVERY_MS = 10000;
const box = (id) => document.getElementById(id);
const fresh = () => ({ feeds: null, checks: null, telegrams: null, posts: null });
let parts = fresh(); // per part {items} or {refused, message}; null: not read yet
let drawn = {}; // per part the text it was drawn from: what did not change is left alone under the pointer
let me = null;
let only = ""; // key of the one feed whose doubtful rows are shown
let heard_at = 0;

const doors = () => ({
  feeds: "feeds",
  checks: "checks?open=true",
  telegrams: `telegrams?doubtful=true${only && `&feed=${encodeURIComponent(only)}`}`,
  posts: `posts?refused=true${only && `&feed=${encodeURIComponent(only)}`}`,
});

async function read(part) {
  if (part === "checks" && !me.duty.includes("desk")) { // the door would answer with an empty list, which would read as "all is well"
    parts.checks = { refused: 0, message: word("checks_desk_only") };
    paint();
    return;
  }
  const path = doors()[part];
  try {
    const answer = await api(path);
    heard_at = serverNow();
    if (part === "feeds") learnClock(answer.as_of);
    if (path !== doors()[part]) return; // another feed was chosen meanwhile
    parts[part] = { items: answer.items };
  } catch (error) {
    if (!signedIn()) return;
    // a refusal is an answer and is shown as such; a lost line keeps the last figures, and the banner says how old they are
    if (error instanceof Refused && error.status < 500) { parts[part] = { refused: error.status, message: error.message }; heard_at = serverNow(); }
    else parts[part] ??= { refused: error.status ?? 0, message: word("not_read") };
  }
  paint();
}

const readAll = () => { for (const part of Object.keys(parts)) read(part); };
const readOn = () => { for (const part of Object.keys(parts)) if (part === "feeds" || parts[part]?.refused !== 403) read(part); }; // one of the refused tells that the line holds

function choose(key) {
  only = only === key ? "" : key;
  for (const part of ["telegrams", "posts"]) { parts[part] = null; read(part); }
  paint();
}

const feedNames = () => new Map((parts.feeds?.items ?? []).map((feed) => [feed.feed, feed.name]));

function paint() {
  if (!signedIn() || !me) return;
  const names = feedNames();
  draw("feeds", box("feed-list"), () => showFeeds(box("feed-list"), parts.feeds.items, only, choose));
  draw("checks", box("checks"), () => showChecks(box("checks"), parts.checks.items, () => read("checks")));
  draw("telegrams", box("telegrams"), () => showTelegrams(box("telegrams"), parts.telegrams.items, names, () => { read("telegrams"); read("feeds"); }));
  draw("posts", box("posts"), () => showPosts(box("posts"), parts.posts.items, names));
  box("only").hidden = !only;
  if (only) refill(box("only"), `${word("only_feed")} ${names.get(only) ?? only} `, h("button.plain", { type: "button", id: "only-all", onclick: () => choose(only) }, word("show_all")));
  paintFigures();
  tick();
}

function draw(part, place, show) {
  const text = JSON.stringify([parts[part], only, language(), part === "telegrams" || part === "posts" ? [...feedNames()] : null]);
  if (drawn[part] === text) return;
  drawn[part] = text;
  if (!parts[part]) refill(place, h("p.quiet", null, word("loading")));
  else if (parts[part].items) show();
  else refill(place, withheld(parts[part], part === "feeds"));
}

/** Why a part is empty for this officer, in the server's words and ours. */
const withheld = ({ refused, message }, first) => h("p.empty.withheld", null, message, refused === 403 && first ? h("small", null, word("withheld_note")) : null);

function paintFigures() {
  const feeds = parts.feeds?.items;
  const count = (items, test = () => true) => (items ? items.filter(test).length : null);
  const figure = (key, value, cls, most = Infinity) => h("li", { class: value ? cls : "calm" },
    h("b", null, value === null ? "–" : `${value}${value >= most ? "+" : ""}`), h("span", null, word(key)));
  const silent = count(feeds, (feed) => feed.state === "silent" || (feed.state === "never" && !waiting(feed)));
  refill(box("figures"),
    figure("fig_silent", silent, "red"), figure("fig_late", count(feeds, (feed) => feed.state === "late"), "amber"),
    figure("fig_alarms", count(feeds, (feed) => feed.alarm), "red"),
    figure("fig_checks", count(parts.checks?.items), "amber"),
    figure("fig_telegrams", count(parts.telegrams?.items), "amber", 100), figure("fig_posts", count(parts.posts?.items), "amber", 100));
  document.title = `${silent ? `(${silent}) ` : ""}${word("feeds_title")}`;
}

function tick() {
  tickPage(heard_at);
  tickMeters();
}

function know(mine) {
  me = mine;
}

function leave() {
  [parts, drawn, me, only, heard_at] = [fresh(), {}, null, "", 0];
}

/** Everything that depends on the language; what the server worded is asked for again. */
function dress() {
  paint();
  readAll();
}

setInterval(tick, 1000);
setInterval(() => { if (signedIn() && me) readOn(); }, EVERY_MS);
openGate({ page: "data-page", know, leave, dress });
