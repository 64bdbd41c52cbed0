// The report's page: which span, then the document as report_draw.js draws it. Prints as it stands; the PDF is the server's.

import { api, picture, signedIn } from "./session.js";
import { openGate } from "./gate.js";
import { fromField, refill, serverNow, tickPage, toField } from "./page.js";
import { language, word } from "./words.js";
import { drawReport } from "./report_draw.js";

const DAY_MS = 86400000;
const box = (id) => document.getElementById(id);
let report = null;
let me = null;

const asked = (id) => encodeURIComponent(fromField(box(id).value));
const query = () => `since=${asked("since")}&until=${asked("until")}`;

async function show() {
  await busy(async () => {
    const answer = await api(`console/report?${query()}`);
    if (!me) return; // signed out meanwhile
    report = answer;
    history.replaceState(null, "", `?${query()}`);
    paint();
  });
}

async function savePdf() {
  await busy(async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await picture(`console/report.pdf?${query()}`));
    link.download = `report-${box("since").value}-${box("until").value}.pdf`.replaceAll(":", "");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
}

/** One request at a time; a refusal is said beside the fields and the report before stays. */
async function busy(act) {
  const buttons = [...box("ask").querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  box("fault").textContent = "";
  try { await act(); } catch (error) { if (signedIn()) box("fault").textContent = error.message; }
  for (const button of buttons) button.disabled = false;
}

function paint() {
  if (report) refill(box("document"), drawReport(report, language() === "en"));
  document.title = word("report_title");
}

function know(mine) {
  me = mine;
}

function leave() {
  [report, me] = [null, null];
  refill(box("document"));
}

const given = new URLSearchParams(location.search);
for (const [id, ms] of [["since", serverNow() - DAY_MS], ["until", serverNow()]]) box(id).value = toField(Date.parse(given.get(id)) || ms);
box("ask").onsubmit = (event) => { event.preventDefault(); show(); };
box("save").onclick = savePdf;
box("print").onclick = () => print();
setInterval(() => tickPage(0), 1000);
openGate({ page: "report-page", know, begin: show, leave, dress: paint });
