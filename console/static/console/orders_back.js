// What comes back from the ground about an order: tasks done and not done, the feedback forms rolled up by region.

import { clockTime, h, s } from "./page.js";
import { either, named, word } from "./words.js";
import { folding } from "./warnings.js";

const FIGURES = ["people", "vehicles", "evacuees", "waterlogging", "incidents"];
const PARTS = [["task_done", "part-confirmed", "done"], ["task_doing", "part-delivered", "doing"], ["task_blocked", "part-failed", "blocked"], ["task_silent", "part-waiting", "silent"]];

/** Which level and duty a task is for. */
export const taskWhose = (task) => [task.level ? named("region_level", task.level) : "", task.duty ? named("duty", task.duty) : word("draft_any_duty")].filter(Boolean).join(" ");

export function tasksPart({ items }) {
  return h("section", null, h("h4", null, word("tasks")), items.length ? items.map(task) : h("p.quiet", null, word("tasks_none")));
}

function task(item) {
  const text = either(item.text_zh, item.text_en);
  return h("div.said", null,
    h("p", null, `${item.number}. ${taskWhose(item)}：${text}`, item.due_at ? h("small", { class: item.late ? "late" : "" }, ` · ${word("task_due")} ${clockTime(item.due_at)}${item.late ? ` · ${word("task_late")} ${item.late}` : ""}`) : null),
    bar(item),
    h("p.quiet", null, `${word("task_people")} ${item.people} · ${PARTS.map(([key, , name]) => `${word(key)} ${item[name]}`).join(" · ")}`),
    item.regions.length > 1 ? folding(`task-${item.id}`, h("summary", null, word("feedback_region")), () => [regionsTable(item.regions)]) : null,
    item.blocked_notes.map((said) => h("p.bad", null, `${clockTime(said.at)} ${said.name}（${said.region}）：${said.note}`)));
}

function bar(item) {
  let x = 0;
  const rects = PARTS.filter(([, , name]) => item[name]).map(([, style, name]) => {
    const width = (item[name] / Math.max(1, item.people)) * 100;
    const rect = s("rect", { class: style, x, y: 0, width, height: 10 });
    x += width;
    return rect;
  });
  return s("svg.reach.task-bar", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": PARTS.map(([key, , name]) => `${word(key)} ${item[name]}`).join(", ") }, rects);
}

const regionsTable = (regions) => h("table", null,
  h("thead", null, h("tr", null, h("th", null, word("feedback_region")), ["task_people", ...PARTS.map(([key]) => key)].map((key) => h("th.number", null, word(key))))),
  h("tbody", null, regions.map((region) => h("tr", null, h("td", null, region.name), [region.people, ...PARTS.map(([, , name]) => region[name])].map((count) => h("td.number", null, String(count)))))));

const inspected = (figures) => Object.values(figures?.inspected ?? {}).reduce((sum, count) => sum + count, 0);
const figuresOf = (figures) => [...FIGURES.map((key) => figures?.[key] ?? 0), inspected(figures)];

/** One level of the tree; a region's name opens the level below it. */
export function feedbackPart(found, lookAt) {
  const heads = [...FIGURES.map((key) => `feedback_${key}`), "feedback_inspected"];
  return h("section", null,
    h("h4", null, `${word("feedback")} · ${found.region.name} `, found.region.level === "city" ? null : h("button.plain", { type: "button", id: "feedback-up", onclick: () => lookAt("") }, "↑")),
    h("p.quiet", null, `${word("feedback_reported")} `, h("b", { class: found.reported < found.expected ? "bad" : "good" }, `${found.reported} / ${found.expected}`),
      ` · ${word("feedback_arrived")} ${found.arrived}`, found.due_at ? ` · ${word("feedback_due")} ${clockTime(found.due_at)}` : "", found.zero_due_at ? ` · ${word("feedback_zero_due")} ${clockTime(found.zero_due_at)}` : ""),
    h("div.scroll", { id: "feedback-scroll", tabindex: 0 }, h("table", null,
      h("thead", null, h("tr", null, h("th", null, word("feedback_region")), h("th.number", null, word("feedback_reported")), h("th.number", null, word("feedback_arrived")), heads.map((key) => h("th.number", null, word(key))))),
      h("tbody", null,
        h("tr", null, h("td", null, h("b", null, found.region.name)), h("td.number", null, `${found.reported}/${found.expected}`), h("td.number", null, String(found.arrived)), figuresOf(found.total).map((count) => h("td.number", null, h("b", null, String(count))))),
        found.children.map((child) => h("tr", { class: child.expected > child.reported ? "bad" : "" },
          h("td", null, h("button.plain", { type: "button", id: `feedback-${child.code}`, onclick: () => lookAt(child.code) }, child.name)),
          h("td.number", null, `${child.reported}/${child.expected}`), h("td.number", null, String(child.arrived)), figuresOf(child.total).map((count) => h("td.number", null, String(count)))))))),
    found.missing.length ? folding("feedback-missing", h("summary", null, h("span.bad", null, `${word("feedback_missing")} `, h("b", null, String(found.missing.length)))), () =>
      [h("p.quiet", null, found.missing.map((place) => `${place.name}${place.level === "street" ? "" : `（${named("region_level", place.level)}）`}`).join(either("、", ", ")))]) : null);
}
