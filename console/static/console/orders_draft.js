// The dialog in which an order is drafted: from a plan or by hand; nothing is sent before another person approves.

import { api, newKey, Refused, spoken, upload } from "./session.js";
import { attempt, fromField, h, refill, serverNow } from "./page.js";
import { either, named, word } from "./words.js";
import { badge } from "./warnings.js";
import { headCount } from "./orders_one.js";

const LEVELS = ["watch", "IV", "III", "II", "I"];
const HAZARDS = ["flood", "rainstorm", "reservoir", "river", "tide"];
const DUTIES = ["flood", "reporter", "forest", "desk", "command"];
const SECTORS = ["school", "work", "production", "transport", "business"];
const dialog = () => document.getElementById("draft");
const form = () => dialog().querySelector("form");
let places = { desk: [], districts: [], streets: [] };
let plans = [];
let orders = [];
let counted = ""; // the audience whose head count stands on the page
let onDone = () => {};

/** Wires the dialog for a desk's regions; false for who may not draft. `done(id)` after the order is submitted. */
export function prepareDraft(known, done) {
  places = known;
  onDone = done;
  const fields = form().elements;
  const authorities = authoritiesOf();
  refill(fields.authority, authorities.map((region) => h("option", { value: region.code }, region.name)));
  refill(fields.level, LEVELS.map((level) => h("option", { value: level }, named("level", level))));
  refill(fields.hazard, HAZARDS.map((hazard) => h("option", { value: hazard }, named("hazard", hazard))));
  refill(dialog().querySelector(".duties"), DUTIES.map((duty) => tick("duty", duty, named("duty", duty), duty === "flood")));
  refill(dialog().querySelector(".measures"), SECTORS.map((sector) => tick("sector", sector, named("sector", sector))));
  fields.authority.onchange = authorityChosen;
  fields.plan.onchange = () => fillPlan(plans.find((plan) => plan.key === fields.plan.value));
  form().oninput = settle;
  form().onsubmit = (event) => { event.preventDefault(); run(submit); };
  dialog().querySelector(".count").onclick = () => run(preview);
  dialog().querySelector(".add-task").onclick = () => addTask({});
  dialog().querySelector(".close").onclick = () => dialog().close();
  return authorities.length > 0;
}

/** `from.replaces`: the order whose place it will take; its areas and duties are taken over. */
export async function openDraft(from, known) {
  orders = known;
  form().reset();
  counted = "";
  dialog().querySelector(".fault").textContent = "";
  refill(dialog().querySelector(".tasks"));
  const fields = form().elements;
  if (from.replaces) fields.authority.value = from.replaces.authority.code;
  dialog().showModal();
  await run(authorityChosen);
  if (!from.replaces) return;
  const old = from.replaces;
  fields.replaces.value = String(old.id);
  for (const name of ["hazard", "title_zh", "text_zh", "level"]) fields[name].value = old[name];
  for (const box of dialog().querySelectorAll("input[name=area]")) box.checked = old.areas.includes(box.value);
  for (const box of dialog().querySelectorAll("input[name=duty]")) box.checked = old.duties.includes(box.value);
  settle();
}

const tick = (name, value, label, checked = false) => h("label.tick", null, h("input", { type: "checkbox", name, value, checked }), label);
const chosen = (name) => [...dialog().querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);

/** A city desk may order for the city or one district; others for their own region. */
function authoritiesOf() {
  const own = places.desk.filter((region) => ["city", "district", "street"].includes(region.level));
  const city = own.some((region) => region.level === "city");
  return city ? [...own, ...places.districts.filter((region) => !own.some((mine) => mine.code === region.code))] : own;
}

async function authorityChosen() {
  const fields = form().elements;
  const code = fields.authority.value;
  const streets = places.streets.filter((street) => street.district === code);
  const below = streets.length ? streets : places.streets.some((street) => street.code === code) ? [] : places.districts;
  refill(dialog().querySelector(".areas"), below.map((region) => tick("area", region.code, region.name)));
  const live = orders.filter((order) => order.status === "issued" && order.released_at);
  const options = (found) => [h("option", { value: "" }, word("draft_none")), ...found.map((order) => h("option", { value: order.id }, `#${order.id} ${named("level", order.level)} ${either(order.title_zh, order.title_en)}`))];
  refill(fields.replaces, options(live.filter((order) => order.authority.code === code)));
  refill(fields.under, options(live.filter((order) => order.authority.code !== code && code.startsWith(order.authority.code))));
  const answer = await api(`plans?authority=${encodeURIComponent(code)}`);
  plans = answer.items;
  refill(fields.plan, [h("option", { value: "" }, word("draft_no_plan")), ...plans.map((plan) => h("option", { value: plan.key }, either(plan.name_zh, plan.name_en)))]);
  settle();
}

/** What the plan says stands in the fields; its placeholders are filled by the server for what stays as it is. */
function fillPlan(plan) {
  const fields = form().elements;
  refill(dialog().querySelector(".tasks"));
  if (!plan) return;
  fields.hazard.value = plan.hazard;
  fields.level.value = plan.level;
  fields.title_zh.value = plan.title_zh;
  fields.text_zh.value = plan.text_zh;
  fields.deadline_min.value = plan.deadline_min ?? "";
  fields.valid_h.value = plan.valid_h;
  fields.report_every_h.value = plan.report_every_h ?? "";
  for (const box of dialog().querySelectorAll("input[name=duty]")) box.checked = plan.duties.includes(box.value);
  for (const box of dialog().querySelectorAll("input[name=sector]")) box.checked = plan.measures.some((measure) => measure.sector === box.value);
  plan.tasks.forEach(addTask);
  settle();
}

function addTask(task) {
  const choice = (name, kind, codes, none, value) => h("select", { class: name, "aria-label": word("draft_tasks") }, h("option", { value: "" }, word(none)), codes.map((code) => h("option", { value: code, selected: code === value }, named(kind, code))));
  const line = h("div.task", null,
    choice("task-duty", "duty", DUTIES, "draft_any_duty", task.duty), choice("task-level", "region_level", ["city", "district", "street", "community", "frontline"], "draft_any_level", task.level),
    h("input.task-text", { value: task.text_zh ?? "", maxlength: 400, required: true, "aria-label": word("draft_tasks") }),
    h("input.task-due", { type: "number", min: 1, max: 4320, value: task.due_min ?? "", placeholder: word("draft_due"), "aria-label": word("draft_due") }),
    h("button", { type: "button", onclick: () => { line.remove(); settle(); } }, word("draft_remove")));
  line.dataset.en = task.text_en ?? "";
  line.dataset.zh = task.text_zh ?? "";
  dialog().querySelector(".tasks").append(line);
}

const tasks = () => [...dialog().querySelectorAll(".task")].map((line) => {
  const text = line.querySelector(".task-text").value;
  return { duty: line.querySelector(".task-duty").value, level: line.querySelector(".task-level").value, text_zh: text, text_en: text === line.dataset.zh ? line.dataset.en : "", due_min: Number(line.querySelector(".task-due").value) || null };
});

function audience() {
  const areas = chosen("area");
  const fields = form().elements;
  return { areas: areas.length ? areas : [fields.authority.value], duties: chosen("duty"), under: Number(fields.under.value) || null, level: fields.level.value };
}

/** Submitting needs a head count of exactly these people. */
function settle() {
  const same = counted !== "" && counted === JSON.stringify(audience());
  form().querySelector("[type=submit]").disabled = !same;
  if (!same) refill(form().querySelector(".head-count"), badge(form().elements.level.value));
}

async function preview() {
  const asked = audience();
  const heard = await api("orders/preview", { method: "POST", body: asked });
  counted = JSON.stringify(asked);
  settle();
  form().querySelector(".head-count").replaceChildren(...headCount(heard));
}

async function submit() {
  const fields = form().elements;
  const plan = plans.find((one) => one.key === fields.plan.value);
  const { areas, duties, under, level } = audience();
  const starts_ms = fields.effective_at.value ? Date.parse(fromField(fields.effective_at.value)) : serverNow();
  const body = {
    hazard: fields.hazard.value, level, authority: fields.authority.value, areas, duties, drill: fields.drill.checked,
    deadline_min: Number(fields.deadline_min.value) || null, valid_until: new Date(starts_ms + Number(fields.valid_h.value) * 3600000).toISOString(),
    report_every_h: Number(fields.report_every_h.value) || null, tasks: tasks(), measures: chosen("sector").map((sector) => ({ sector })),
  };
  if (plan) body.plan = plan.key;
  for (const name of ["title_zh", "text_zh"]) if (!plan || fields[name].value !== plan[name]) body[name] = fields[name].value; // untouched: the plan's, with its blanks filled
  if (fields.effective_at.value) body.effective_at = fromField(fields.effective_at.value);
  if (fields.replaces.value) body.replaces = Number(fields.replaces.value);
  if (under) body.under = under;
  const order = await api("orders", { method: "POST", body, key: newKey() });
  try {
    for (const file of fields.papers.files) await upload(`orders/${order.id}/attachments`, file);
    await api(`orders/${order.id}/submit`, { method: "POST", body: {}, key: newKey() });
  } catch (error) {
    onDone(order.id);
    throw new Refused(error.status, { message: `${word("saved_unsent")} #${order.id}${either("：", ": ")}${spoken(error)}` });
  }
  dialog().close();
  onDone(order.id);
}

const run = (act) => attempt(dialog().querySelector(".fault"), act);
