// One post's day as a drawing: the level with its limits as lines, the rain of the nearest gauge hanging from the top.
// A missing value is a break in the line, never a guess; what lies far above is named beside, not squeezed in.

import { clockTime, fixed, h, hideTip, s, showTip } from "./page.js";
import { either, named, word } from "./words.js";

const HEIGHT = 226;
const PAD = { left: 46, top: 6, bottom: 20, get right() { return either(86, 136); } }; // right: names of limits
const RAIN = 54; // px from the top for rain
const BREAK_MS = 30 * 60000;
const HOUR_MS = 3600000;
const SHENZHEN_MS = 8 * HOUR_MS;

/** `levels` and `rains`: items of a series (or null); `limits`: [{kind, limit_m}]; from and to in ms; width in px. */
export function chart({ levels, rains, limits, from, to, width }) {
  const known = levels.filter((point) => point.value !== null).map((point) => ({ ...point, ms: Date.parse(point.at) }));
  const rain = (rains ?? []).map((point) => ({ ...point, ms: Date.parse(point.at) }));
  const shown = near(known, limits);
  const all = [...known.map((point) => point.value), ...shown.map((limit) => limit.limit_m)];
  const margin = Math.max(0.1, (Math.max(...all) - Math.min(...all)) * 0.1);
  const [low, high] = [Math.min(...all) - margin, Math.max(...all) + margin];
  const [inner, base, top] = [width - PAD.left - PAD.right, HEIGHT - PAD.bottom, PAD.top + RAIN + 8];
  const x = (ms) => PAD.left + ((ms - from) / (to - from)) * inner;
  const y = (metres) => base - ((metres - low) / (high - low)) * (base - top);
  const svg = s("svg.course", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": word("course") },
    hours(from, to).map((ms) => [s("path.grid", { d: `M${x(ms)},${PAD.top}V${base}` }), s("text.hour", { x: x(ms), y: HEIGHT - 5, "text-anchor": "middle" }, clockTime(new Date(ms).toISOString()).slice(-5))]),
    steps(low, high).map((metres) => [s("path.grid", { d: `M${PAD.left},${y(metres)}H${width - PAD.right}` }), s("text.metre", { x: PAD.left - 5, y: y(metres) + 4, "text-anchor": "end" }, fixed(metres, high - low < 1 ? 2 : 1))]),
    rains ? bars(rain, x, from, to, inner) : null,
    apart(shown, y).map(({ limit, at }) => [s("path.limit", { class: `limit-${limit.kind}`, d: `M${PAD.left},${y(limit.limit_m)}H${width - PAD.right}` }),
      s("text.limit-name", { x: width - PAD.right + 4, y: at + 4 }, `${named("limit", limit.kind)} ${fixed(limit.limit_m, 2)}`)]),
    s("path.level", { d: line(known, x, y) }),
    known.filter((point) => point.quality !== "good").map((point) => s("circle.doubted", { cx: x(point.ms), cy: y(point.value), r: 2.5 })),
    known.length ? s("circle.last", { cx: x(known.at(-1).ms), cy: y(known.at(-1).value), r: 4 }) : null,
    s("path.grid", { d: `M${PAD.left},${PAD.top + RAIN + 4}H${width - PAD.right}` }));
  return point(svg, { known, rain, x, from, to, width });
}

/** Limits that can be drawn without flattening the course: those passed or not far above it; the lowest always. */
export function near(known, limits) {
  if (!known.length) return limits.slice(0, 2);
  const values = known.map((point) => point.value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = Math.max(1.5, (high - low) * 1.5);
  return limits.filter((limit, i) => limit.limit_m <= high + reach && (i === 0 || limit.limit_m >= low - reach));
}

function line(points, x, y) {
  return points.map((point, i) => `${i && point.ms - points[i - 1].ms <= BREAK_MS ? "L" : "M"}${x(point.ms).toFixed(1)},${y(point.value).toFixed(1)}`).join("");
}

/** Rain from the top down; a step without any value is a dark notch on the edge, for it is not dry. */
function bars(rain, x, from, to, inner) {
  const most = Math.max(5, ...rain.map((point) => point.value ?? 0));
  const step_ms = 5 * 60000;
  const wide = Math.max(1, (inner * step_ms) / (to - from) - 0.4);
  const told = new Set(rain.filter((point) => point.value !== null).map((point) => point.ms));
  const slots = Array.from({ length: Math.round((to - from) / step_ms) }, (_, i) => Math.ceil((from + 1) / step_ms) * step_ms + i * step_ms).filter((ms) => ms <= to);
  return [
    s("path.rain-missing", { d: slots.filter((ms) => !told.has(ms)).map((ms) => `M${(x(ms) - wide).toFixed(1)},${PAD.top}h${wide.toFixed(1)}`).join("") || "M0,0" }),
    rain.filter((point) => point.value > 0).map((point) => s("rect.rain", { x: (x(point.ms) - wide).toFixed(1), y: PAD.top + 2, width: wide.toFixed(1), height: ((point.value / most) * RAIN).toFixed(1) })),
    s("text.metre", { x: PAD.left - 5, y: PAD.top + RAIN, "text-anchor": "end" }, `${fixed(most, most < 10 ? 1 : 0)} mm`),
  ];
}

/** Names of limits are kept 13 px apart, in order. */
function apart(limits, y) {
  const placed = [];
  for (const limit of [...limits].sort((a, b) => b.limit_m - a.limit_m)) placed.push({ limit, at: Math.max(y(limit.limit_m), (placed.at(-1)?.at ?? -Infinity) + 13) });
  return placed;
}

function hours(from, to) {
  const every = 4 * HOUR_MS;
  const first = Math.ceil((from + SHENZHEN_MS) / every) * every - SHENZHEN_MS;
  return Array.from({ length: Math.floor((to - first) / every) + 1 }, (_, i) => first + i * every);
}

function steps(low, high) {
  const rough = (high - low) / 4;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = ten * [1, 2, 5, 10].find((times) => ten * times >= rough);
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, i) => first + i * step);
}

/** What was said at the time under the pointer. */
function point(svg, { known, rain, x, from, to, width }) {
  const cross = s("path.cross", { d: "M0,0" });
  svg.append(cross);
  svg.addEventListener("mousemove", (event) => {
    const at = svg.getBoundingClientRect();
    const ms = from + (((event.clientX - at.left) * (width / at.width) - PAD.left) / (width - PAD.left - PAD.right)) * (to - from);
    const nearest = (points) => points.reduce((best, one) => (Math.abs(one.ms - ms) < Math.abs((best?.ms ?? -1e15) - ms) ? one : best), null);
    const [level, fell] = [nearest(known), nearest(rain)];
    if (!level || ms < from || ms > to) return;
    cross.setAttribute("d", `M${x(level.ms)},${PAD.top}V${HEIGHT - PAD.bottom}`);
    showTip([clockTime(level.at), `${fixed(level.value, 2)} m${level.quality === "good" ? "" : ` · ${word("doubtful")}`}`,
      fell && Math.abs(fell.ms - level.ms) < 300000 ? `${word("rain")} ${fixed(fell.value, 1)} mm ${word("in_five_minutes")}` : null], event);
  });
  svg.addEventListener("mouseleave", () => { hideTip(); cross.setAttribute("d", "M0,0"); });
  return h("figure", null, svg);
}
