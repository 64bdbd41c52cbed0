// What is wrong now and was lately, the canaries, the newest messages, what waits, the jobs.

import { clockTime, h, refill, span } from "./page.js";
import { language, named, word } from "./words.js";
import { worth } from "./slo_promises.js";

const STEPS = ["accepted", "delivered", "confirmed"];

/** A transport as people call it: what goes by the app has the name of its first vendor. */
const transport = (name) => named("channel", name === "fcm" ? "app" : name);

const spoken = (incident) => {
  const [kind, ...of] = incident.split("/");
  const name = of.join("/");
  return `${name ? `${kind === "canary" || kind === "vendor" ? named("channel", name) : transport(name)} · ` : ""}${named("fault_kind", kind)}`;
};

export function showFaults(box, faults, incidents) {
  refill(box,
    faults.length ? faults.map((fault) => h("article.card.fault-card", null, h("h3", null, spoken(`${fault.kind}/${fault.of}`)), h("p", null, fault.text))) : h("p.good", null, word("slo_all_well")),
    incidents.length ? incidents.map(incident) : h("p.quiet.nothing", null, word("slo_no_incidents")));
}

function incident(row) {
  return h("article.card.incident", { class: row.ended_at ? "past" : "" },
    h("h3", null, spoken(row.kind)),
    h("p.quiet", null, `${word("slo_since")} ${clockTime(row.found_at)}`, row.ended_at ? ` ${word("slo_until")} ${clockTime(row.ended_at)}` : h("b.bad", null, ` · ${word("slo_open")}`),
      ` · ${word("slo_worst")} ${row.worst}`, row.other_way ? ` · ${word("slo_other_way")} ${named("channel", row.other_way)}` : ""));
}

export function showCanaries(box, canaries) {
  refill(box, canaries.length ? canaries.map(canary) : h("p.empty", null, word("slo_no_canaries")));
}

function canary(row) {
  const state = row.back_at ? "back" : row.over || row.fault === "no_canary" ? "missed" : "flying";
  const says = { back: `${word("slo_back_in")} ${worth(row.trip_s, "s")}`, flying: word("slo_flying") }[state]
    ?? (row.fault === "no_canary" ? word("slo_no_canary") : row.accepted_at ? word("slo_no_answer") : `${word("slo_not_accepted")} ${row.fault}`);
  return h("article.card", { class: `canary-${state}` },
    h("h3", null, `${named("channel", row.provider)} `, h("span", { class: { back: "good", missed: "bad", flying: "quiet" }[state] }, says)),
    row.told_at ? h("p.quiet", null, `${row.name} · ${clockTime(row.told_at)}`) : null);
}

export function showMessages(box, messages) {
  if (!messages.length) { refill(box, h("p.empty", null, word("slo_no_messages"))); return; }
  refill(box, messages.map((message) => h("article.card", null,
    h("h3", null, message.title),
    h("p.quiet", null, `${clockTime(message.issued_at)} · ${word("slo_people")} ${message.people.toLocaleString(language())} · ${word("slo_reachable")} ${message.reachable.toLocaleString(language())}`),
    h("table", null,
      h("thead", null, h("tr", null, h("th"), STEPS.map((step) => h("th.number", null, word(`slo_${step}`))))),
      h("tbody", null, [90, 99].map((share) => h("tr", null, h("td", null, `${share}%`), STEPS.map((step) => reached(message.readings[`${step}_${share}_s`])))))))));
}

const reached = (seconds) => h("td.number", { class: seconds === null ? "bad" : "" }, seconds === undefined ? "–" : seconds === null ? word("slo_not_reached") : worth(seconds, "s"));

export function showWaiting(box, waiting, sockets) {
  const held = sockets.reduce((sum, row) => sum + row.sockets, 0);
  refill(box,
    waiting.length ? h("table", null, h("tbody", null, waiting.map((row) => h("tr", { class: row.state === "failed_temp" ? "bad" : "" },
      h("td", null, `${transport(row.transport)} · ${named("lane", String(row.lane))}`), h("td", null, named("state", row.state)),
      h("td.number", null, row.lines.toLocaleString(language())), h("td.number", null, row.oldest_s ? `${word("slo_oldest")} ${span(row.oldest_s)}` : "")))))
      : h("p.good", null, word("slo_nothing_waits")),
    h("p.quiet", null, `${word("slo_sockets")} ${held.toLocaleString(language())} · ${sockets.length} ${word("slo_processes")}`));
}

export function showJobs(box, jobs) {
  refill(box, h("ul", null, jobs.map((job) => h("li", { class: job.late ? "late" : job.age_s === null ? "unknown" : "", title: `${job.queue} · ${word("slo_every")} ${span(job.period_s)}` },
    job.job, h("b", null, job.age_s === null ? word("slo_never_heard") : span(job.age_s))))));
}
