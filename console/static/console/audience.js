// Everybody a message was sent to, the answered too, looked up by name, place or the end of a number; each opens his chain.

import { api } from "./session.js";
import { h, refill } from "./page.js";
import { named, word } from "./words.js";
import { folding } from "./warnings.js";
import { personName, standing } from "./chain.js";

const AGAIN_MS = 5000; // a repaint reads a single page again
const PAGE = 50;
const looked = new Map(); // dispatch id -> {words as typed, asked, items, next, at, fault}, kept over repaints

/** Folded away until it is asked for; null before there is a dispatch. */
export function audience(dispatch) {
  if (!dispatch) return null;
  return folding(`audience-${dispatch}`, h("summary", null, word("audience")), () => {
    const list = h("div", { id: `audience-list-${dispatch}` });
    const own = state(dispatch);
    if (own.items) paint(list, dispatch);
    if (performance.now() - own.at > AGAIN_MS && (own.items?.length ?? 0) <= PAGE) look(list, dispatch);
    return [h("form.look", { onsubmit: (event) => { event.preventDefault(); own.asked = own.words.trim(); look(list, dispatch); } },
      h("input", { id: `audience-words-${dispatch}`, type: "search", maxlength: 40, placeholder: word("audience_words"), "aria-label": word("audience_words"), value: own.words, oninput: (event) => { own.words = event.currentTarget.value; } }),
      h("button", { id: `audience-look-${dispatch}` }, word("audience_look"))), list];
  });
}

function state(dispatch) {
  if (!looked.has(dispatch)) looked.set(dispatch, { words: "", asked: "", items: null, next: null, at: -Infinity, fault: "" });
  return looked.get(dispatch);
}

async function look(list, dispatch, after = 0) {
  const own = state(dispatch);
  const { asked } = own;
  own.at = performance.now();
  try {
    const answer = await api(`dispatches/${dispatch}/people?${new URLSearchParams({ q: asked, after })}`);
    if (asked !== own.asked) return; // he asks for something else by now
    Object.assign(own, { items: after ? own.items.concat(answer.items) : answer.items, next: answer.next, fault: "" });
  } catch (error) {
    own.fault = error.message;
  }
  paint(document.getElementById(list.id) ?? list, dispatch);
}

function paint(list, dispatch) {
  const { items, next, fault } = state(dispatch);
  refill(list, fault ? h("p.bad", null, fault) : null,
    items?.length ? h("div.scroll", { id: `audience-scroll-${dispatch}`, tabindex: 0 }, h("table", null,
      h("thead", null, h("tr", null, ["name", "post", "state"].map((key) => h("th", null, word(key))))),
      h("tbody", null, items.map((person) => h("tr", { class: person.state === "failed_perm" ? "bad" : "" },
        h("td.whole", null, personName(`audience-${person.id}`, person), h("small", null, person.masked_phone)),
        h("td", null, `${person.region_name} ${named("duty", person.duty)}`, person.errand === "first" ? null : h("small", null, ` ${named("errand", person.errand)}`)),
        h("td", null, standing(person)))))))
      : items && !fault ? h("p.quiet", null, word("audience_none")) : null,
    next ? h("button", { type: "button", id: `audience-more-${dispatch}`, onclick: () => look(list, dispatch, next) }, word("more")) : null);
}
