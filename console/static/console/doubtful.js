// What came in and was not taken: telegrams with their bytes and a second reading, posts with their first rejections.

import { api } from "./session.js";
import { clockTime, h, refill } from "./page.js";
import { named, word } from "./words.js";

const unfolded = new Set(); // ids of details the reader has opened
const results = new Map(); // telegram id -> what the second reading said

/** `names` maps feed keys to names; `onChange()` after a telegram was read again. */
export function showTelegrams(box, rows, names, onChange) {
  refill(box, rows.length ? h("div.scroll.lines", { id: "telegram-lines" }, rows.map((row) => telegram(row, names, onChange))) : h("p.empty", null, word("no_telegrams")));
}

function telegram(row, names, onChange) {
  const again = async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      const told = await api(`telegrams/${row.id}/again`, { method: "POST" });
      results.set(row.id, `${named("verdict", told.verdict)}${told.reason ? `：${told.reason}` : ""}`);
      onChange();
    } catch (error) {
      results.set(row.id, error.message);
    }
    const line = document.getElementById(`told-${row.id}`);
    if (line) { line.textContent = results.get(row.id); line.hidden = false; }
    button.disabled = false;
  };
  return h("article.line", { class: `verdict-${row.verdict}` },
    h("div.line-head", null,
      h("time", null, clockTime(row.received_at)),
      h("b", null, row.rtu || word("noise")), row.function ? h("span.chip", null, `${word("function")} ${row.function}`) : null,
      h("span.chip", { class: `verdict-${row.verdict}` }, named("verdict", row.verdict)),
      h("small", null, `${names.get(row.feed) ?? row.feed} · ${row.peer}`),
      h("button.small", { type: "button", id: `again-${row.id}`, onclick: again }, word("read_again"))),
    h("p.reason", null, row.reason),
    h("p.told", { id: `told-${row.id}`, role: "status", hidden: !results.has(row.id) }, results.get(row.id) ?? ""),
    fold(`hex-${row.id}`, `${word("bytes")} ${row.raw_bytes}`, h("code.hex", null, pairs(row.raw), row.raw.length / 2 < row.raw_bytes ? " …" : "")));
}

const pairs = (hex) => hex.replace(/(..)(?=.)/g, "$1 ");

export function showPosts(box, rows, names) {
  refill(box, rows.length ? h("div.scroll.lines", { id: "post-lines" }, rows.map((row) => post(row, names))) : h("p.empty", null, word("no_posts")));
}

function post(row, names) {
  const more = row.rejected - row.first.length;
  return h("article.line", { class: row.refused ? "verdict-quarantined" : "verdict-partly" },
    h("div.line-head", null,
      h("time", null, clockTime(row.received_at)),
      h("b", null, names.get(row.feed) ?? row.feed), h("span.chip", null, named("post_kind", row.kind)),
      h("small", null, `${size(row.size_bytes)} · ${word("accepted")} ${row.accepted} · ${word("rejected")} ${row.rejected}`)),
    row.refused ? h("p.reason", null, h("span.code", null, row.refused.code), ` ${row.refused.message}`) : null,
    row.first.length ? fold(`post-${row.id}`, row.first[0].message, h("ol.rejections", null,
      row.first.map((one) => h("li", null, h("span.code", null, `#${one.index} ${one.code}`), ` ${one.message}`)), more > 0 ? h("li.quiet", null, `… ${word("and_more")} ${more}`) : null)) : null);
}

function fold(id, title, inside) {
  const toggled = (event) => { if (event.currentTarget.open) unfolded.add(id); else unfolded.delete(id); };
  return h("details", { id, open: unfolded.has(id), ontoggle: toggled }, h("summary", null, title), inside);
}

const size = (bytes) => (bytes === 0 ? word("let_go") : bytes < 10240 ? `${bytes} B` : bytes < 10485760 ? `${Math.round(bytes / 1024)} KB` : `${Math.round(bytes / 1048576)} MB`);
