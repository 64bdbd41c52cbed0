// The dialog in which an order is drafted: fields, head count, submit. Nothing is sent before another approves.

import { api, newKey } from "./session.js";
import { h, refill, serverNow } from "./page.js";
import { either, named, word } from "./words.js";

const LEVELS = ["watch", "IV", "III", "II", "I"];
const DUTIES = ["flood", "reporter", "forest", "desk", "command"];
let counted = ""; // the fields whose head count stands on the page

/** Fills the dialog with the choices open to a desk of `desk` regions, and wires it once. */
export function prepareDraft(dialog, places, onDone) {
  const form = dialog.querySelector("form");
  const authorities = authoritiesOf(places);
  refill(form.elements.level, LEVELS.map((level) => h("option", { value: level }, named("level", level))));
  refill(form.elements.authority, authorities.map((region) => h("option", { value: region.code }, region.name)));
  refill(dialog.querySelector(".duties"), DUTIES.map((duty) => h("label.tick", null, h("input", { type: "checkbox", name: "duty", value: duty, checked: duty === "flood" }), named("duty", duty))));
  const areas = () => refill(dialog.querySelector(".areas"), areasOf(form.elements.authority.value, places).map((region) =>
    h("label.tick", null, h("input", { type: "checkbox", name: "area", value: region.code }), region.name)));
  areas();
  form.elements.authority.onchange = areas;
  form.oninput = () => settle(form);
  form.onsubmit = (event) => { event.preventDefault(); run(form, () => submit(form, dialog, onDone)); };
  dialog.querySelector(".count").onclick = () => run(form, () => preview(form));
  dialog.querySelector(".close").onclick = () => dialog.close();
  settle(form);
  return authorities.length > 0;
}

/** A city desk may order for the city or one district; a district desk for its district. */
function authoritiesOf({ desk, districts }) {
  const cities = desk.filter((region) => region.level === "city");
  if (cities.length) return [...cities, ...districts];
  return desk.filter((region) => region.level === "district");
}

function areasOf(code, { districts, streets }) {
  const own = streets.filter((street) => street.district === code);
  return own.length ? own : districts;
}

function chosen(form, name) {
  return [...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);
}

function audienceOf(form) {
  const areas = chosen(form, "area");
  return { areas: areas.length ? areas : [form.elements.authority.value], duties: chosen(form, "duty") };
}

/** Submitting needs a head count of exactly these areas and duties. */
function settle(form) {
  const same = counted !== "" && counted === JSON.stringify(audienceOf(form));
  form.querySelector("[type=submit]").disabled = !same;
  if (!same) form.querySelector(".head-count").textContent = "";
}

async function preview(form) {
  const audience = audienceOf(form);
  const reach = await api("orders/preview", { method: "POST", body: audience });
  counted = JSON.stringify(audience);
  settle(form);
  const rows = reach.regions.map((region) => `${region.name} ${region.officers}`).join(either("，", ", "));
  refill(form.querySelector(".head-count"), h("b.big", null, String(reach.officers)), ` ${word("people")} · `,
    reach.no_live_device ? h("span.bad", null, `${word("no_device")} ${reach.no_live_device} · `) : null, rows);
}

async function submit(form, dialog, onDone) {
  const after = (ms) => new Date(serverNow() + ms).toISOString();
  const fields = form.elements;
  const deadline_min = Number(fields.deadline_min.value);
  const body = {
    hazard: "flood", level: fields.level.value, authority: fields.authority.value, ...audienceOf(form),
    title_zh: fields.title_zh.value, text_zh: fields.text_zh.value, drill: fields.drill.checked,
    deadline_at: deadline_min ? after(deadline_min * 60000) : null, valid_until: after(Number(fields.valid_h.value) * 3600000),
  };
  const order = await api("orders", { method: "POST", body, key: newKey() });
  await api(`orders/${order.id}/submit`, { method: "POST", body: {}, key: newKey() });
  counted = "";
  form.reset();
  dialog.close();
  onDone();
}

async function run(form, act) {
  const fault = form.querySelector(".fault");
  fault.textContent = "";
  try {
    await act();
  } catch (error) {
    const fields = Object.entries(error.fields ?? {}).map(([name, why]) => `${name}: ${why}`).join("; ");
    fault.textContent = [error.message, fields].filter(Boolean).join(" – ");
  }
}
