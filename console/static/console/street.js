// One street in full: its rain, its warnings, and which of its people have not answered.

import { api, Refused } from "./session.js";
import { clockTime, fixed, h, percent, refill } from "./page.js";
import { windowName, word } from "./words.js";
import { unansweredList } from "./dispatches.js";
import { badge, drillMark } from "./warnings.js";

/** Fills the panel for `place`; `rain` is the street's item of live/rain or null. */
export function showStreet(box, place, { rain, warnings, reach }) {
  if (!place) return refill(box, h("p.quiet", null, word("street_pick")));
  const own = warnings.flatMap((warning) => warning.streets.filter((street) => street.code === place.code && street.level).map((street) => ({ warning, street })));
  const posts = warnings.filter((warning) => warning.station && warning.region.code === place.code);
  return refill(box,
    h("h3", null, place.name, own.map(({ warning, street }) => [" ", badge(street.level), drillMark(warning.drill), h("small", null, ` ${word("since")} ${clockTime(warning.raised_at)}`)])),
    posts.map((warning) => h("p", null, badge(warning.level), drillMark(warning.drill), ` ${word(warning.station.kind)} ${warning.station.name} `, h("small", null, `${word("since")} ${clockTime(warning.raised_at)}`))),
    rain ? rainTable(rain) : null,
    reach === undefined ? null : reach === null ? h("p.quiet", null, word("out_of_scope")) : people(reach));
}

/** The reach of everything in force in a street, by its door; null where it lies outside the officer's people. */
export async function readStreet(path) {
  try {
    return await api(path);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

/** A person may owe answers to several bulletins: he is shown once, with the newest. */
function people(reach) {
  const newest = new Map(reach.unanswered.map((line) => [line.officer, line]));
  return unansweredList("people-here", [...newest.values()], newest.size);
}

/** Sums of the past and the next hours of one item of live/rain. */
export function rainTable({ observed, nowcast }) {
  const past = observed.map((sum) => ({ name: windowName(`rain_${sum.minutes}min`), max_mm: sum.station_max_mm, mean_mm: sum.mean_mm, share: sum.mean_share ?? sum.station_share }));
  const ahead = nowcast.map((sum) => ({ name: windowName(`nowcast_${sum.minutes}min`), ...sum }));
  const sums = [...past, ...ahead];
  const row = (key, cell) => h("tr", null, h("td", null, word(key)), sums.map(cell));
  return h("table", null,
    h("thead", null, h("tr", null, h("th", null, word("rain")), sums.map((sum) => h("th.number", null, sum.name)))),
    h("tbody", null,
      row("rain_max", (sum) => h("td.number", null, h("b", null, fixed(sum.max_mm, 1)))),
      row("rain_mean", (sum) => h("td.number", null, fixed(sum.mean_mm, 1))),
      row("rain_share", (sum) => h("td.number", { class: sum.share < 0.9 ? "bad" : "" }, percent(sum.share)))));
}
