// One person's chain for one message, in a dialog: what was tried, how far it came, each step with time and source.

import { api } from "./session.js";
import { clockTime, h, refill } from "./page.js";
import { either, named, word } from "./words.js";

const APP = ["http", "socket"]; // sources whose clock is the phone's
const SECONDS = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const exact = (iso) => (iso ? (clockTime(iso).length > 5 ? `${clockTime(iso).slice(0, -5)}${SECONDS.format(new Date(iso))}` : SECONDS.format(new Date(iso))) : "–");

function dialog() {
  let found = document.getElementById("chain");
  if (!found) {
    found = h("dialog", { id: "chain" });
    document.body.append(found);
  }
  return found;
}

/** A person's name that opens his chain: of a line with `dispatch`, `officer` and `name`. */
export const personName = (id, line) => h("button.plain", { type: "button", id, title: word("chain_open"), onclick: () => openChain(line.dispatch, line.officer) }, line.name);

/** Where a line stands, and why it went by text message instead of by app. */
export const standing = (line) => [h("span.whole", null, line.acting ? named("step", "acting") : named("state", line.state)), instead(line.rerouted)];

function instead(why) {
  const [, provider, what] = /^(.+?)_(paused|not_configured)$/.exec(why) ?? [];
  return why ? h("small.instead", null, ` ${word("rerouted")}${provider ? `${named("channel", provider)} ${named("hindrance", what)}` : why}`) : null;
}

async function openChain(dispatch, officer) {
  const box = dialog();
  refill(box, h("p.quiet", null, word("loading")), close(box));
  if (!box.open) box.showModal();
  try {
    fill(box, await api(`dispatches/${dispatch}/people/${officer}`));
  } catch (error) {
    refill(box, h("p.bad", null, error.message), close(box));
  }
}

const close = (box) => h("button", { type: "button", id: "chain-close", onclick: () => box.close() }, word("chain_close"));
const part = (title, ...rest) => h("section", null, h("h4", null, word(title)), rest);

function fill(box, chain) {
  refill(box,
    h("h3", null, chain.name, " ", h("small", null, `${chain.masked_phone} · ${chain.region_name} ${named("duty", chain.duty ?? "")}`)),
    h("p", null, chain.drill ? h("b.bad", null, `${word("drill")} `) : null, either(chain.title_zh, chain.title_en), " ", h("small", null, exact(chain.issued_at))),
    chain.quiet ? h("p.quiet", null, word("chain_quiet")) : null,
    part("chain_steps", h("ol.chain", null, chain.steps.map(step))),
    part("chain_tries", h("ul.chain-list", null, chain.tries.map(tried))),
    chain.rungs.length ? part("chain_rungs", h("ul.chain-list", null, chain.rungs.map(rung)), chain.climb ? h("p.quiet", null, `${chain.climb.rung}/${chain.climb.rungs.length} ${named("climb", chain.climb.state)}`) : null) : null,
    chain.call ? part("chain_call", h("p", null, `${exact(chain.call.made_at)}${chain.call.done_at ? ` → ${exact(chain.call.done_at)} ${named("call_result", chain.call.result)}` : ""}`)) : null,
    chain.reports.length ? part("chain_reports", h("ul.chain-list", null, chain.reports.map((one) => h("li", null, `${exact(one.at)} ${named("source", one.provider)} · ${named("report", one.state)}`)))) : null,
    chain.said.length ? part("chain_said", h("ul.chain-list", null, chain.said.map((one) => h("li", null, `${exact(one.at)} ${named("receipt", one.state)} · ${named("source", one.source)}`, one.note ? h("small", null, ` ${one.note}`) : null)))) : null,
    h("p.quiet", null, word("chain_note")), close(box));
}

function step(row) {
  const style = row.at ? "done" : row.implied ? "implied" : "missing";
  const skewed = row.skew_s !== null && Math.abs(row.skew_s) >= 2;
  return h("li", { class: style },
    h("b", null, named("step", row.step)),
    h("span", null, row.at ? `${exact(row.at)} · ${named("source", row.source)}` : row.implied ? word("chain_implied") : word("chain_not_yet")),
    row.device_at ? h("small", { class: skewed ? "bad" : "" }, `${word(APP.includes(row.source) ? "chain_device" : "chain_their_clock")} ${exact(row.device_at)}`,
      row.skew_s === null ? "" : ` · ${word("chain_skew")} ${row.skew_s.toFixed(1)} s`, skewed ? ` · ${word("chain_true")} ${exact(row.true_at)}` : "") : null);
}

const tried = (row) => h("li", { class: row.state === "failed_perm" ? "bad" : "" },
  `${exact(row.made_at)} ${named("errand", row.errand)} · ${named("source", row.transport)} · ${named("state", row.state)}`,
  h("small", null, ` ${row.attempts} ${word("chain_attempts")}${row.devices ? ` · ${row.devices} ${word("chain_devices")}` : ""}${row.reason ? ` · ${row.reason}` : ""}`), instead(row.rerouted));

const rung = (row) => h("li", { class: row.reached ? "" : "bad" },
  `${exact(row.taken_at)} ${named("errand", row.errand)} · ${named("channel", row.channel)} · ${word("chain_reached")} ${row.reached}`, h("small", null, ` ${word("chain_due")} ${exact(row.due_at)}`));
