// The feeds, worst first: state, age against the cadence, data time, counts, sources with their faults, open alarm.

import { ageOf, clockTime, h, refill, s, span } from "./page.js";
import { language, named, word } from "./words.js";

const WORST = ["silent", "never", "late", "good", "disabled"];
const METER = 2; // cadences across the whole bar
const SILENT = 1.5; // cadences; the server decides, the mark only shows where

/** `only` is the chosen feed's key; `choose(key)` is called when one is pressed. */
export function showFeeds(box, feeds, only, choose) {
  const rows = [...feeds].sort((a, b) => WORST.indexOf(a.state) - WORST.indexOf(b.state) || a.rank - b.rank || a.feed.localeCompare(b.feed));
  refill(box, rows.length ? rows.map((feed) => card(feed, feed.feed === only, choose)) : h("p.empty", null, word("no_feeds")));
}

/** Registered, and its first word has yet to come: nothing is wrong. */
export const waiting = (feed) => feed.state === "never" && feed.why === "no_posts";

function card(feed, chosen, choose) {
  return h("article.card.feed", { class: `state-${waiting(feed) ? "waiting" : feed.state}${chosen ? " chosen" : ""}` },
    h("div.feed-head", null,
      h("h3", null, h("span.badge", { class: `badge-${waiting(feed) ? "waiting" : feed.state}` }, named("feed_state", feed.state)),
        h("button.plain.feed-name", { type: "button", id: `feed-${feed.feed}`, "aria-pressed": String(chosen), title: word("only_this"), onclick: () => choose(feed.feed) }, feed.name),
        h("small.code", null, feed.feed)),
      h("div.chips", null, h("span.chip", null, `${word("rank")} ${feed.rank}`), feed.replayed ? h("span.chip.replayed", null, word("replay_mark")) : null)),
    feed.why ? h("p.why-not", null, waiting(feed) ? word("waiting_first") : named("doubt", feed.why)) : null,
    meter(feed),
    h("dl.feed-facts", null,
      fact("received", feed.received_at ? clockTime(feed.received_at) : "–"),
      fact("last_good", feed.good_at ? clockTime(feed.good_at) : word("never_good"), !feed.good_at),
      fact("data_time", clockTime(feed.observed_at)),
      fact("lag", span(feed.replayed ? null : feed.lag_s), !feed.replayed && feed.lag_s > feed.max_age_s),
      fact("accepted", feed.accepted.toLocaleString(language())),
      fact("rejected", feed.rejected.toLocaleString(language()), feed.rejected > 0)),
    feed.alarm ? h("p.feed-alarm", null, h("b", null, word("alarm_open")), ` ${word("alarm_since")} ${clockTime(feed.alarm.silent_since)} · ${word("alarm_told")} ${clockTime(feed.alarm.raised_at)}${feed.state === "good" ? ` · ${word("alarm_steady")}` : ""}`) : null,
    feed.sources.length ? h("ul.sources", null, feed.sources.map(source)) : null);
}

const fact = (key, value, doubtful) => h("div", { class: doubtful ? "bad" : null }, h("dt", null, word(key)), h("dd", null, value));

/** Age of the last good post against the cadence: full at two of them, a mark where silence begins. */
function meter(feed) {
  if (!feed.enabled || waiting(feed)) return null;
  const bar = s("svg.meter", { viewBox: "0 0 200 8", preserveAspectRatio: "none", "aria-hidden": true, "data-good": feed.good_at ?? "", "data-cadence": feed.cadence_s },
    s("rect.done", { x: 0, y: 0, width: 0, height: 8 }), s("path.turn", { d: "M100 0V8" }), s("path.limit", { d: `M${(200 * SILENT) / METER} 0V8` }));
  return h("div.beat", null, bar,
    h("span.beat-age", null, h("b", { "data-since": feed.good_at ?? "" }, feed.good_at ? span(ageOf(feed.good_at)) : word("never_good")), h("small", null, ` / ${word("cadence")} ${span(feed.cadence_s)}`)));
}

/** Moves every bar to the present age. */
export function tickMeters() {
  for (const bar of document.querySelectorAll(".meter")) {
    const turns = bar.dataset.good ? ageOf(bar.dataset.good) / Number(bar.dataset.cadence) : METER;
    bar.firstChild.setAttribute("width", String(Math.max(0, Math.min(1, turns / METER)) * 200));
  }
}

function source(row) {
  const failing = row.failures > 0;
  return h("li", { class: !row.enabled ? "off" : failing ? "failing" : "well" },
    h("div", null, h("b", null, row.key), " ", h("span.chip", null, named("source_kind", row.kind)), " ", h("span.code", null, row.address)),
    h("div.quiet", null, row.enabled ? "" : `${named("feed_state", "disabled")} · `, `${word("every")} ${span(row.every_s)} · ${word("last_success")} ${clockTime(row.good_at)} · ${word("next_due")} ${clockTime(row.due_at)}`,
      failing ? h("span.bad", null, ` · ${word("failures")} ${row.failures}`) : null),
    row.fault ? h("div.bad", null, row.fault) : null);
}
