// The page of the service levels: what is promised, how it stands, what is wrong. Reads every 10 s; decides nothing.

import { openGate } from "./gate.js";
import { figure, learnClock, refill } from "./page.js";
import { reader } from "./reading.js";
import { word } from "./words.js";
import { showPromises } from "./slo_promises.js";
import { showCanaries, showFaults, showJobs, showMessages, showWaiting } from "./slo_parts.js";

const EVERY_MS = 10000;
const box = (id) => document.getElementById(id);
let told = null; // the last answer; null: not read yet, or withheld
let me = null;
const reading = reader(() => paint(), (2.5 * EVERY_MS) / 1000);

const read = () => reading.read("slo", "slo", (answer) => { told = answer; learnClock(told.as_of); }, { onRefused: () => { told = null; } });

function paint() {
  if (!me) return;
  for (const id of ["slo-parts", "figures"]) box(id).hidden = !told;
  if (!told) return;
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
  refill(box("figures"), figures.map(([key, value, colour]) => figure(reading.stand("slo"), `fig_${key}`, value, colour)));
  document.title = `${told.faults.length ? `(${told.faults.length}) ` : ""}${word("slo_title")}`;
}

function know(mine) {
  me = mine;
}

function leave() {
  [told, me] = [null, null];
  for (const id of ["indicators", "messages", "faults", "canaries", "waiting", "jobs", "figures"]) refill(box(id));
}

/** The server words names and reasons: after a change of language it is asked again. */
function dress() {
  paint();
  read();
}

setInterval(() => { if (me) read(); }, EVERY_MS);
openGate({ page: "slo-page", reading, know, leave, dress });
