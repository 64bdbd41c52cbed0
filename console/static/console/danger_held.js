// Words about a warning that wait for a person, or for their time: what the phones would show, and two buttons.

import { api, newKey } from "./session.js";
import { attempt, clockTime, h, refill } from "./page.js";
import { either, word } from "./words.js";
import { badge } from "./warnings.js";

export function showHeld(box, items, onChange) {
  refill(box, items.map((held) => h("article.card.held", { id: `held-${held.id}` },
    h("h3", null, badge(held.level), ` ${word("held_head")} · ${either(held.title, held.title_en)} `,
      held.release_at ? h("span", null, h("b.left", { "data-until": held.release_at }), ` ${word("held_by_itself")}`) : h("small", null, word("held_by_person"))),
    h("p.push-line", null, either(held.push, held.push_en)),
    h("p.quiet", null, clockTime(held.held_at)),
    h("div.acts", null,
      h("button.danger", { type: "button", id: `release-${held.id}`, onclick: () => act(held, "release", onChange) }, word("release_now")),
      h("button", { type: "button", id: `drop-${held.id}`, onclick: () => act(held, "drop", onChange) }, word("release_drop"))),
    h("p.bad.fault", { id: `held-fault-${held.id}`, role: "alert" }))));
}

/** Once a second: the time that is left to each. */
export function tickHeld(now_ms) {
  for (const node of document.querySelectorAll("[data-until]")) {
    const left_s = Math.max(0, Math.ceil((Date.parse(node.dataset.until) - now_ms) / 1000));
    node.textContent = `${Math.floor(left_s / 60)}:${String(left_s % 60).padStart(2, "0")}`;
  }
}

async function act(held, verb, onChange) {
  if (await attempt(`held-fault-${held.id}`, () => api(`releases/${held.id}/${verb}`, { method: "POST", body: {}, key: newKey() }))) onChange();
}
