// Roll calls: whom to ask, how many that is, and how many have tapped.

import { api, newKey } from "./session.js";
import { attempt, clockTime, h, percent, refill } from "./page.js";
import { named, word } from "./words.js";

const DUTIES = ["flood", "reporter", "forest", "desk", "command"];
const ARMED_MS = 8000;
let names = new Map(); // region code -> name
let armed = 0; // the timer while a second press is awaited

const box = (id) => document.getElementById(id);
const chosen = (name) => [...box("probe").querySelectorAll(`input[name=${name}]:checked`)].map((tick) => tick.value);
const asked = () => ({ areas: chosen("area"), duties: chosen("duty") });

/** Fills the form with the regions of the caller's desks; without a desk there is no form. */
export function prepareProbe(places, onDone) {
  const desk = places.desk ?? [];
  names = new Map([...places.districts, ...places.streets, ...desk].map((region) => [region.code, region.name]));
  box("probe").hidden = !desk.length;
  const city = desk.some((region) => region.level === "city");
  const own = new Set(desk.map((region) => region.code));
  const streets = places.streets.filter((street) => own.has(street.district) || own.has(street.code));
  const areas = city ? places.districts : [...desk, ...streets.filter((street) => !own.has(street.code))];
  refill(box("probe-areas"), areas.map((region) => h("label", null, h("input", { type: "checkbox", name: "area", value: region.code }), region.name)));
  refill(box("probe-duties"), DUTIES.map((duty) => h("label", null, h("input", { type: "checkbox", name: "duty", value: duty, checked: duty === "flood" }), named("duty", duty))));
  box("probe").oninput = disarm;
  box("probe").onsubmit = (event) => { event.preventDefault(); press(onDone); };
}

function disarm() {
  clearTimeout(armed);
  armed = 0;
  box("probe-send").classList.remove("armed");
  box("probe-send").textContent = word("probe_send");
}

/** The first press says how many will be asked; the second asks them. */
async function press(onDone) {
  const done = await attempt("probe-fault", async () => {
    if (!armed) {
      const heard = await api("orders/preview", { method: "POST", body: asked() });
      armed = setTimeout(disarm, ARMED_MS);
      box("probe-send").classList.add("armed");
      box("probe-send").textContent = `${word("probe_will")} ${heard.officers} ${word("people")} · ${word("sure")}`;
      return;
    }
    await api("probes", { method: "POST", body: { ...asked(), text: box("probe-text").value }, key: newKey() });
    disarm();
    box("probe").reset();
    onDone();
  });
  if (!done) disarm();
}

export function showProbes(place, items) {
  refill(place, items.length ? items.map(card) : h("p.empty", null, word("probes_none")));
}

function card(probe) {
  const where = probe.areas.map((code) => names.get(code) ?? code).join("、");
  return h("article.card", null,
    h("h3", null, where, " ", h("small", null, probe.duties.map((duty) => named("duty", duty)).join("、"))),
    h("p", null, h("b", null, `${probe.confirmed} / ${probe.total}`), ` ${word("probe_tapped")} · ${percent(probe.total ? probe.confirmed / probe.total : null)}`,
      h("small", null, ` · ${clockTime(probe.issued_at)} · ${word("probe_until")} ${clockTime(probe.deadline_at)}`)));
}
