// The form that plans a drill: a name, who orders, which areas and duties take part, and how many people that is.

import { api, newKey } from "./session.js";
import { attempt, h, refill } from "./page.js";
import { named, word } from "./words.js";

const DUTIES = ["flood", "reporter", "forest", "desk", "command"];

/** Fills the form for a desk; hidden for everybody else. `onDone(drill)` once it is planned. */
export function preparePlan(form, places, onDone) {
  const city = places.desk.some((region) => region.level === "city");
  const own = places.desk.filter((region) => ["city", "district", "street"].includes(region.level));
  form.hidden = !own.length;
  const authorities = city ? [...own, ...places.districts.filter((region) => !own.some((mine) => mine.code === region.code))] : own;
  refill(form.elements.authority, authorities.map((region) => h("option", { value: region.code }, region.name)));
  refill(form.querySelector(".duties"), DUTIES.map((duty) => h("label", null, h("input", { type: "checkbox", name: "duty", value: duty, checked: duty === "flood" }), named("duty", duty))));
  const draw = () => {
    const code = form.elements.authority.value;
    const streets = places.streets.filter((street) => street.district === code || street.code === code);
    const below = places.desk.some((region) => region.code === code && region.level === "city") ? places.districts : streets;
    refill(form.querySelector(".areas"), below.map((region) => h("label", null, h("input", { type: "checkbox", name: "area", value: region.code }), region.name)));
  };
  draw();
  form.elements.authority.onchange = draw;
  form.oninput = () => { form.querySelector(".head-count").textContent = ""; };
  form.querySelector(".count").onclick = () => run(form, () => count(form));
  form.onsubmit = (event) => {
    event.preventDefault();
    run(form, async () => {
      const drill = await api("drills", { method: "POST", body: { name: form.elements.name.value, authority: form.elements.authority.value, ...audience(form) }, key: newKey() });
      form.reset();
      draw();
      onDone(drill);
    });
  };
}

const chosen = (form, name) => [...form.querySelectorAll(`input[name=${name}]:checked`)].map((tick) => tick.value);

function audience(form) {
  const areas = chosen(form, "area");
  return { areas: areas.length ? areas : [form.elements.authority.value], duties: chosen(form, "duty") };
}

async function count(form) {
  const heard = await api("orders/preview", { method: "POST", body: audience(form) });
  refill(form.querySelector(".head-count"), h("b.big", null, String(heard.officers)), ` ${word("people")}`);
}

const run = (form, act) => attempt(form.querySelector(".fault"), act);
