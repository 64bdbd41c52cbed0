// One level post in full: how it stands, its day with its limits, the rain at the nearest gauge and in its street.

import { api } from "./session.js";
import { clockTime, fixed, h, refill, span } from "./page.js";
import { either, named, word } from "./words.js";
import { chart, near } from "./water_chart.js";
import { signed, standOf } from "./water_table.js";
import { rainTable } from "./street.js";

const DAY_MS = 24 * 3600000;

/** Everything the panel shows of a post, as of `as_of` (the water's time). Throws as `api` does. */
export async function readPost(code, as_of) {
  const to = new Date(as_of);
  const span_asked = `step=5min&from=${new Date(to - DAY_MS).toISOString()}&to=${to.toISOString()}`;
  const [post, levels] = await Promise.all([api(`stations/${encodeURIComponent(code)}`), api(`stations/${encodeURIComponent(code)}/series?element=stage_m&${span_asked}`)]);
  const [around, street] = await Promise.all([
    api(`stations/nearby?kind=rain&count=1&lon=${post.lon}&lat=${post.lat}`).catch(() => null),
    api(`live/rain?level=street&region=${encodeURIComponent(post.region)}`).catch(() => null)]);
  const gauge = around?.items[0] ?? null;
  const rains = gauge && (await api(`stations/${encodeURIComponent(gauge.station)}/series?element=rain_mm&${span_asked}`).catch(() => null));
  return { post, levels: levels.items, gauge, rains: rains?.items ?? null, street: street?.items[0] ?? null, from: to - DAY_MS, to: to.getTime() };
}

/** Fills the panel; `item` is the post's newest item of live/levels, true `more_s` ago. `told` is null while it is read. */
export function showPost(box, item, told, { place, made_up, more_s, as_of, fault, close }) {
  const stand = standOf(item, more_s);
  refill(box,
    h("div.post-head", null,
      h("h3", null, h("span.stand", { class: `stand-${stand}` }, named("stand", stand)), ` ${item.name}`, made_up ? h("small.mark.made-up", null, word("synthetic_mark")) : null),
      h("button.plain", { type: "button", id: "post-close", onclick: close }, word("close"))),
    h("p.quiet", null, [word(item.kind), place, item.station, `${word("datum")} ${item.datum || "–"}`, item.gated === null ? null : word(item.gated ? "gated" : "ungated")].filter(Boolean).join(" · ")),
    facts(item, stand, more_s),
    item.gated === false && item.over_m > 0 ? h("p.quiet", null, word("ungated_note")) : null,
    told ? course(box, told) : h("p", { class: fault ? "bad" : "quiet" }, fault || word("loading")),
    told ? h("p.quiet", null, `${word("as_of")} ${clockTime(as_of)} · ${word("observed")} ${clockTime(item.observed_at)}`,
      told.post.feed ? [` · ${word("said_by")} ${told.post.feed.name}`, told.post.feed.rank > 1 ? h("span.bad", null, ` ${word("standby_feed")}`) : null] : null) : null);
}

function facts(item, stand, more_s) {
  const fact = (key, value, cls) => h("div", { class: cls ?? "" }, h("dt", null, word(key)), h("dd", null, value));
  const blind = stand === "stale";
  return h("dl.post-facts", { class: blind ? "blind" : "" },
    fact("level_m", h("b", null, fixed(item.level_m, 2))),
    fact("limit_m", item.limit_m === null ? "–" : `${named("limit", item.limit_kind)} ${fixed(item.limit_m, 2)}`),
    fact("over_below", item.over_m === null ? "–" : signed(item.over_m), item.over_m > 0 ? "above" : ""),
    fact("rate", item.rate_m_per_h === null ? "–" : signed(item.rate_m_per_h), blind ? "" : `rate-${item.trend}`),
    fact("to_limit", item.time_to_limit_s === null ? "–" : `${span(item.time_to_limit_s)} · ${named("limit", item.next_limit_kind)}`),
    fact("age", item.age_s === null ? "–" : h("span", { "data-age": item.age_s }, span(item.age_s + more_s))));
}

function course(box, { post, levels, gauge, rains, street, from, to }) {
  const known = levels.filter((point) => point.value !== null);
  const width = Math.max(300, box.clientWidth - 26);
  const off = post.limits.filter((limit) => !near(known, post.limits).includes(limit));
  return [
    known.length ? chart({ levels, rains, limits: post.limits, from, to, width }) : h("p.empty", null, word("no_course")),
    off.length ? h("p.quiet", null, `${word("off_chart")}: ${off.map((limit) => `${named("limit", limit.kind)} ${fixed(limit.limit_m, 2)}`).join(" · ")}`) : null,
    h("p.quiet", null, gauge ? [`${word("nearest_gauge")} ${gauge.name} ${fixed(gauge.distance_km, 1)} km · `, sums(rains ?? [], to)] : word("no_gauge")),
    street ? h("details.street-rain", null, h("summary", null, `${word("street_rain")} · ${street.name}`), h("div.scroll", null, rainTable(street))) : null];
}

/** Sums of the gauge's last hours, each with the share of its 5-minute steps that came: what is missing is not zero. */
function sums(rains, to) {
  return [1, 3, 24].map((hours) => {
    const told = rains.filter((point) => point.value !== null && Date.parse(point.at) > to - hours * 3600000);
    const share = told.length / (hours * 12);
    const mm = told.reduce((sum, point) => sum + point.value, 0);
    return h("span.sum", null, `${either(`${hours}小时`, `${hours} h`)} `, h("b", null, told.length ? fixed(mm, 1) : "–"), " mm", share < 0.99 ? h("small.bad", null, ` ${word("present")} ${Math.round(share * 100)}%`) : null);
  });
}
