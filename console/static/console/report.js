// The report's page: which span, then the document as report_draw.js draws it. Prints as it stands; the PDF is the server's.

import { picture } from "./session.js";
import { openGate } from "./gate.js";
import { attempt, fromField, h, refill, serverNow, toField } from "./page.js";
import { reader } from "./reading.js";
import { language, word } from "./words.js";
import { drawReport } from "./report_draw.js";

const DAY_MS = 86400000;
const box = (id) => document.getElementById(id);
let report = null;
let me = null;
const reading = reader(() => paint(), Infinity); // made once; it does not grow old

const asked = (id) => encodeURIComponent(fromField(box(id).value));
const query = () => `since=${asked("since")}&until=${asked("until")}`;

/** A refusal is said above the report, and the one before stays. */
function show() {
  const span = query();
  reading.forget("report");
  return busy(() => reading.read("report", `console/report?${span}`, (answer) => { report = answer; history.replaceState(null, "", `?${span}`); }));
}

async function savePdf() {
  await busy(async () => {
    const name = `report-${box("since").value}-${box("until").value}.pdf`.replaceAll(":", "");
    const link = h("a", { href: URL.createObjectURL(await picture(`console/report.pdf?${query()}`)), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
}

/** One request at a time. */
async function busy(act) {
  const buttons = [...box("ask").querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  await attempt("fault", act);
  for (const button of buttons) button.disabled = false;
}

function paint() {
  if (report && me) refill(box("document"), drawReport(report, language() === "en"));
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
openGate({ page: "report-page", reading, know, begin: show, leave, dress: paint });
