// Where the person is signed in, and how he ends that on a phone he has lost. Opened by his name in the head.

import { api } from "./session.js";
import { attempt, clockTime, h, refill } from "./page.js";
import { named, word } from "./words.js";

const ARMED_MS = 8000;
let devices = []; // as read last
let armed = 0; // the id awaiting its second press

const list = () => document.getElementById("devices-list");
const draw = () => refill(list(), devices.map(row));
const read = async () => { devices = (await api("me/devices")).items; draw(); };

export function openDevices() {
  armed = 0;
  refill(list(), h("p.quiet", null, word("loading")));
  document.getElementById("devices").showModal();
  return attempt("devices-fault", read);
}

function row(device) {
  const { id, platform, name, registered_at, last_used_at, current } = device;
  return h("div.device", null,
    h("b", null, named("platform", platform), name && ` · ${name}`),
    h("small", null, `${word("device_since")} ${clockTime(registered_at)} · ${word("device_used")} ${clockTime(last_used_at)}`),
    current ? h("span.quiet", null, word("device_this"))
      : h("button", { type: "button", id: `device-${id}`, class: `danger${armed === id ? " armed" : ""}`, onclick: () => press(id) }, word(armed === id ? "sure" : "device_remove")));
}

function press(id) {
  if (armed !== id) {
    armed = id;
    setTimeout(() => { if (armed === id) { armed = 0; draw(); } }, ARMED_MS);
    return draw();
  }
  armed = 0;
  return attempt("devices-fault", async () => { await api(`me/devices/${id}`, { method: "DELETE" }); await read(); });
}
