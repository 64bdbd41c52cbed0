// The page of the service levels: what is promised, how it stands, what is wrong. Reads every 10 s; decides nothing.

import { api, Refused, signedIn } from "./session.js";
import { openGate } from "./gate.js";
import { h, learnClock, refill, serverNow, tickPage } from "./page.js";
import { language, word } from "./words.js";
import { showPromises } from "./slo_promises.js";
import { showCanaries, showFaults, showJobs, showMessages, showWaiting } from "./slo_parts.js";

const EVERY_MS = 10000;
const box = (id) => document.getElementById(id);
let told = null; // the last answer, or {refused, message}
let drawn = "";
let me = null;
let heard_at = 0;

async function read() {
  try {
    told = await api("slo");
    learnClock(told.as_of);
    heard_at = serverNow();
  } catch (error) {
    if (!signedIn()) return;
    if (error instanceof Refused && error.status < 500) { told = { refused: error.status, message: error.message }; heard_at = serverNow(); }
    else told ??= { refused: 0, message: error.message };
  }
  paint();
}

function paint() {
  if (!me || !told) return;
  const text = JSON.stringify(told) + language();
  if (text === drawn) return;
  drawn = text;
  const withheld = told.refused !== undefined;
  box("withheld").hidden = !withheld;
  for (const id of ["slo-parts", "figures"]) box(id).hidden = withheld;
  if (withheld) {
    refill(box("withheld"), told.message, told.refused === 403 ? h("small", null, word("slo_withheld")) : null);
    return;
  }
  paintFigures();
  showPromises(box("indicators"), told.indicators);
  showMessages(box("messages"), told.messages);
  showFaults(box("faults"), told.faults, told.incidents);
  showCanaries(box("canaries"), told.canaries);
  showWaiting(box("waiting"), told.waiting, told.sockets);
  showJobs(box("jobs"), told.jobs);
}

function paintFigures() {
  const open = told.incidents.filter((incident) => !incident.ended_at).length;
  const missed = told.canaries.filter((canary) => canary.over && !canary.back_at).length;
  const late = told.jobs.filter((job) => job.late).length;
  const lines = told.waiting.reduce((sum, row) => sum + row.lines, 0);
  const sockets = told.sockets.reduce((sum, row) => sum + row.sockets, 0);
  const figures = [["faults", told.faults.length, "red"], ["incidents", open, "red"], ["missed", missed, "red"], ["jobs", late, "red"], ["lines", lines, "amber"], ["sockets", sockets, "grey"]];
  refill(box("figures"), figures.map(([key, value, colour]) =>
    h("li", { class: value ? colour : "calm" }, h("b", null, value.toLocaleString(language())), h("span", null, word(`fig_${key}`)))));
  document.title = `${told.faults.length ? `(${told.faults.length}) ` : ""}${word("slo_title")}`;
}

function know(mine) {
  me = mine;
}

function leave() {
  [told, drawn, me, heard_at] = [null, "", null, 0];
  for (const id of ["indicators", "messages", "faults", "canaries", "waiting", "jobs", "figures"]) refill(box(id));
}

/** The server words names and reasons: after a change of language it is asked again. */
function dress() {
  paint();
  read();
}

setInterval(() => tickPage(me ? heard_at : 0), 1000);
setInterval(() => { if (signedIn() && me) read(); }, EVERY_MS);
openGate({ page: "slo-page", know, leave, dress });
