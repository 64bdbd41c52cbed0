// Active warnings, newest first, each with the figures it rests on.

import { clockTime, fixed, h, hideTip, percent, refill, s, showTip } from "./page.js";
import { either, named, windowName, word } from "./words.js";

const NUMBER = { none: 0, notice: 1, attention: 2, alert: 3, emergency: 4 };
const CODES = Object.keys(NUMBER);
const opened = new Set(); // ids of <details> the reader has opened; kept over repaints

export const levelNumber = (level) => (typeof level === "number" ? level : NUMBER[level] ?? 0);
export const levelCode = (level) => (typeof level === "number" ? CODES[level] : level);

/** A coloured badge with the level's word. */
export function badge(level) {
  const code = levelCode(level);
  return h("span.badge", { class: `badge-${code}` }, named("level", code));
}
export const drillMark = (drill) => (drill ? h("span.badge.badge-drill", null, word("drill")) : null);

/** Level notices below alert are many in a storm and nobody is chased for them: they stand together behind one line. */
export function showWarnings(box, warnings, onStreet) {
  const minor = warnings.filter((warning) => warning.station && levelNumber(warning.level) < NUMBER.alert);
  const cards = warnings.filter((warning) => !minor.includes(warning)).map((warning) => card(warning, onStreet));
  if (minor.length) cards.push(folding("minor-levels", h("summary", null, `${word("level_notices")} `, h("b", null, minor.length)), () => minor.map((warning) => card(warning, onStreet))));
  refill(box, cards.length ? cards : h("p.empty", null, word("none_active")));
}

function card(warning, onStreet) {
  const streets = warning.streets.filter((street) => levelNumber(street.level) > 0).sort((a, b) => levelNumber(b.level) - levelNumber(a.level) || a.code.localeCompare(b.code));
  return h("article.card", { class: `edge-${warning.drill ? "drill" : levelCode(warning.level)}`, id: `warning-${warning.id}` },
    h("h3", null, badge(warning.level), drillMark(warning.drill), warning.station ? ` ${word(warning.station.kind)} ${warning.station.name} ` : ` ${warning.region.name} `,
      h("small", null, `${word("since")} ${clockTime(warning.raised_at)}`,
        levelNumber(warning.peak_level) > levelNumber(warning.level) ? ` · ${word("peak")} ${named("level", levelCode(warning.peak_level))}` : "")),
    warning.station ? h("div.chips", null, h("button.chip", { type: "button", id: `chip-${warning.id}`, onclick: () => onStreet(warning.region.code) }, warning.region.name)) : null,
    h("div.chips", null, streets.map((street) => h("button.chip", { type: "button", class: `badge-${levelCode(street.level)}`, id: `chip-${warning.id}-${street.code}`, onclick: () => onStreet(street.code) }, street.name))),
    because(warning, streets));
}

/** The gravest reason in one line, the rest behind it. */
function because(warning, streets) {
  const why = warning.reasons;
  if (why?.station) return becauseOfLevel(warning, why);
  if (!why?.rule_version) return h("p.quiet", null, word("by_hand"));
  const names = new Map(streets.map((street) => [street.code, street.name]));
  const explained = Object.entries(why.streets ?? {}).sort((a, b) => levelNumber(b[1].level) - levelNumber(a[1].level));
  const top = explained[0]?.[1].reasons?.[0];
  const line = top ? `${names.get(explained[0][0]) ?? explained[0][0]} ${windowName(top.window)} ${fixed(top.value_mm, 1)} ≥ ${fixed(top.threshold_mm, 1)} mm` : "";
  return folding(`why-${warning.id}`, h("summary", null, `${word("reasons")} `, h("b", null, line)), () => [
    facts(why),
    explained.map(([code, street]) => streetReasons(names.get(code) ?? code, street)),
  ]);
}

/** A level notice: the reading, its limit, every mark reached, the readings of the last hour. */
function becauseOfLevel(warning, why) {
  const marks = why.reasons ?? [];
  const limit = marks.find((mark) => mark.limit_m !== null);
  const line = [`${fixed(why.reading.level_m, 2)} m`, limit ? `${named("limit", limit.limit_kind)} ${fixed(limit.limit_m, 2)} m` : null].filter(Boolean).join(" · ");
  return folding(`why-${warning.id}`, h("summary", null, `${word("reasons")} `, h("b", null, line)), () => stationReasons(why));
}

export function stationReasons(why) {
  const marks = why.reasons ?? [];
  const pair = (key, value) => [h("dt", null, word(key)), h("dd", null, value)];
  return [
    h("dl.facts", null,
      pair("observed", clockTime(why.reading.observed_at)), pair("datum", why.station.datum),
      pair("trend", why.rate_m_per_h === null || why.rate_m_per_h === undefined ? word("none") : `${why.rate_m_per_h > 0 ? "+" : ""}${fixed(why.rate_m_per_h, 2)} m/h`),
      pair("rule_version", why.rule_version ?? word("none"))),
    marks.length ? h("table", null,
      h("thead", null, h("tr", null, ["mark", "value", "threshold", "limit"].map((key) => h("th", null, word(key))))),
      h("tbody", null, marks.map((mark) => h("tr", null,
        h("td", null, badge(mark.level), ` ${named("condition", mark.condition)}`), h("td.number", null, fixed(mark.value, 2)), h("td.number", null, fixed(mark.threshold, 2)),
        h("td", null, mark.limit_kind ? `${named("limit", mark.limit_kind)} ${fixed(mark.limit_m, 2)} m` : ""))))) : h("p.quiet", null, why.why),
    why.readings ? h("p.quiet", null, why.readings.map(([at, level, quality]) => `${clockTime(at)} ${fixed(level, 2)}${quality === "good" ? "" : "?"}`).join(either("，", ", "))) : null,
  ].filter(Boolean);
}

/** <details> that stays open over repaints and is filled only while open. */
export function folding(id, summary, fill) {
  const box = h("details", { id, open: opened.has(id) }, summary);
  summary.id = `${id}-head`;
  if (opened.has(id)) box.append(...fill().flat());
  box.addEventListener("toggle", () => {
    if (box.open === opened.has(id)) return;
    if (box.open) {
      opened.add(id);
      box.append(...fill().flat());
    } else {
      opened.delete(id);
      box.replaceChildren(summary);
    }
  });
  return box;
}

function facts(why) {
  const pair = (key, value) => [h("dt", null, word(key)), h("dd", null, value)];
  const missing = why.missing_share ?? 0;
  return h("dl.facts", null,
    pair("rule_version", why.rule_version),
    pair("slot", clockTime(why.slot_at)),
    pair("nowcast_run", why.nowcast ? `${clockTime(why.nowcast.issued_at)} #${why.nowcast.id}` : word("none")),
    pair("missing_share", h("span", { class: missing > 0.1 ? "bad" : "" }, percent(missing))),
    pair("excluded", why.excluded?.length ? why.excluded.join(either("、", ", ")) : word("none")));
}

export function streetReasons(name, street) {
  const rows = (street.reasons ?? []).map((reason) => h("tr", null,
    h("td", null, windowName(reason.window)), h("td.number", null, h("b", null, fixed(reason.value_mm, 1))),
    h("td.number", null, fixed(reason.threshold_mm, 1)), h("td.number", null, percent(reason.share)),
    h("td.number", null, fixed(reason.agree_mm, 1)), h("td.code", null, reason.source)));
  return h("section.why", null,
    h("h4", null, badge(street.level), ` ${name}`),
    rows.length ? h("table", null,
      h("thead", null, h("tr", null, ["window", "value", "threshold", "share", "agree", "source"].map((key) => h("th", null, word(key), ["value", "threshold", "agree"].includes(key) ? " mm" : "")))),
      h("tbody", null, rows)) : h("p.quiet", null, word("no_reason")),
    street.values_mm?.slots?.length ? bars(street.values_mm) : null);
}

/** 5-minute values as bars; a missing slot is a hatched column, never a zero. */
function bars({ source, slots }) {
  const values = slots.map(([, mm]) => mm).filter((mm) => mm !== null);
  const most = Math.max(2, ...values);
  const sum = values.reduce((total, mm) => total + mm, 0);
  const step = 10;
  const height = 54;
  const summary = `${word("five_minutes")} · ${source} · ${word("sum")} ${fixed(sum, 1)} mm · ${word("max")} ${fixed(values.length ? Math.max(...values) : null, 1)} mm · ${word("missing")} ${slots.length - values.length}`;
  const columns = slots.map(([at, mm], i) => {
    const tall = mm === null ? height : (mm / most) * height;
    const show = (event) => showTip([clockTime(at), mm === null ? word("missing") : `${fixed(mm, 2)} mm`], event);
    return s("g", { onmousemove: show, onmouseleave: hideTip },
      s("rect.touch", { x: i * step, y: 0, width: step, height }),
      s("rect", { class: mm === null ? "gone" : "bar", fill: "url(#hatch)", x: i * step + 1, y: height - tall, width: step - 2, height: tall }));
  });
  const label = (i) => s("text", { x: i * step, y: height + 13, "text-anchor": i ? "end" : "start" }, clockTime(slots[Math.max(0, i - 1)][0]));
  return h("figure", null,
    s("svg.bars", { viewBox: `0 0 ${slots.length * step} ${height + 16}`, role: "img", "aria-label": summary }, s("path.axis", { d: `M0,${height}H${slots.length * step}` }), columns, label(0), label(slots.length)),
    h("figcaption", null, summary));
}
