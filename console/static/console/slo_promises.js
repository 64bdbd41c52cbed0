// The promises: limit and reason, the present value, the share of 24 hours and 7 days within it, a small plot.

import { clockTime, h, hideTip, percent, refill, s, showTip, span } from "./page.js";
import { language, named, word } from "./words.js";

const WIDTH = 96; // quarters of an hour
const HEIGHT = 30;

export function showPromises(box, rows) {
  refill(box,
    h("div.promise.head", null, h("span", null, ""), ["limit", "now", "day", "week"].map((key) => h("span.figure", null, word(`slo_${key}`))), h("span", null, word("slo_plot"))),
    rows.map(promise));
}

/** "0.4 秒", "12 min", "45,000 条". */
export function worth(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "lines") return `${Math.round(value).toLocaleString(language())}`;
  return value < 10 && value % 1 ? `${value.toFixed(1)}${language() === "en" ? " s" : "秒"}` : span(value);
}

function promise(row) {
  const week = kept(row.week, row.objective);
  const style = row.good === false || week === false ? "broken" : row.good === null && week === null ? "" : "kept";
  return h("div.promise", { class: style, id: `promise-${row.key.replace("/", "-")}` },
    h("span.name", null, row.name, row.of ? h("b", null, ` ${named("channel", row.of)}`) : null, h("small.because", null, row.why)),
    figure("limit", `≤ ${worth(row.limit, row.unit)}`, `${word("slo_objective")} ${percent(row.objective)}`),
    figure("now", row.known ? (row.now === null ? word("slo_not_reached") : worth(row.now, row.unit)) : word("slo_no_reading"), "", row.good === false ? "bad" : row.good ? "good" : ""),
    share("day", row.day, row.objective), share("week", row.week, row.objective),
    h("span.plot", null, spark(row)));
}

const kept = ({ readings, good }, objective) => (readings ? good / readings >= objective : null);

const figure = (head, text, under, style = "") => h("span.figure", { class: style, "data-head": word(`slo_${head}`) }, h("b", null, text), under ? h("small", null, under) : null);

function share(head, counts, objective) {
  const well = kept(counts, objective);
  const text = counts.readings ? percent(Math.floor((counts.good / counts.readings) * 100) / 100) : "–"; // never rounded up to a promise kept
  return figure(head, text, counts.readings ? `${counts.good.toLocaleString(language())}/${counts.readings.toLocaleString(language())}` : "", well === null ? "quiet" : well ? "good" : "bad");
}

/** The worst reading of each quarter of an hour against the limit; twice the limit fills the height, red never came to pass. */
function spark(row) {
  if (!row.points.length) return null;
  const end = Date.parse(row.points[row.points.length - 1].at);
  const bars = row.points.map((point) => {
    const x = WIDTH - 1 - (end - Date.parse(point.at)) / 900000;
    const height = point.missed ? HEIGHT : Math.max(1, Math.min(1, point.worst / (2 * row.limit)) * HEIGHT);
    const style = point.missed ? "never" : point.worst > row.limit ? "over" : "within";
    const says = `${clockTime(point.at)} ${point.missed ? word("slo_not_reached") : worth(point.worst, row.unit)}`;
    return s("rect", { class: style, x, y: HEIGHT - height, width: 0.9, height, onmousemove: (event) => showTip([says], event), onmouseleave: hideTip });
  });
  return s("svg.spark", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${row.name}, ${word("slo_plot")}` },
    bars, s("path.limit", { d: `M0 ${HEIGHT / 2}H${WIDTH}` }));
}
