// The after-action report as a document: draws what `GET /api/v1/console/report` says. It has its own words and imports
// nothing, so that a saved report carries this one file and is whole. No network, no state.

const SVG = "http://www.w3.org/2000/svg";
const WORDS = {
  title: ["防御复盘报告", "After-action report"],
  made: ["生成于", "made"],
  of: ["范围", "for"],
  nowhere: ["无管辖区域", "no region"],
  counters: ["统计", "Counts"],
  real: ["实战", "Real"],
  drill: ["演练", "Drill"],
  warnings: ["短临预警", "Rain warnings"],
  reminders: ["定向提醒（人次）", "Reminders to persons"],
  orders: ["防御部署指令", "Response orders"],
  notices: ["指令通知（人次）", "Notices of orders to persons"],
  levels: ["水情预警", "Level notices"],
  level_reminders: ["水情提醒（人次）", "Level reminders to persons"],
  rain: ["雨量与预警", "Rain and warnings"],
  no_rain: ["时段超过 72 小时或无雨量数据，不绘雨量过程。", "No rain curve: longer than 72 hours, or no rain data."],
  mean: ["面雨量", "Areal mean"],
  highest: ["最大格点/站", "Highest cell or gauge"],
  mm: ["毫米/5分钟", "mm in 5 min"],
  replayed: ["回放的降雨，时间为原日期", "a replayed storm, on its own dates"],
  total: ["累计面雨量", "total areal rain"],
  present: ["有数据时次", "slots with data"],
  receipts: ["回执", "Receipts"],
  minutes: ["发布后分钟", "minutes after issue"],
  accepted: ["受理", "Accepted"],
  delivered: ["送达", "Delivered"],
  shown: ["展示", "Shown"],
  opened: ["打开", "Opened"],
  confirmed: ["确认", "Confirmed"],
  acting: ["行动", "Acting"],
  people: ["人数", "People"],
  issued: ["发布", "Issued"],
  level: ["级别", "Level"],
  what: ["内容", "What"],
  region: ["区域", "Region"],
  from: ["起", "From"],
  to: ["止", "To"],
  steps: ["过程", "Steps"],
  status: ["状态", "State"],
  within: ["分内", "min"],
  nobody: ["无人应答的街道", "Streets where nobody answered"],
  all_answered: ["每条信息在各街道都有人应答。", "In every street somebody answered every bulletin."],
  late: ["迟到", "Late steps"],
  rungs: ["叫应步骤（迟 30 秒以上为迟到）", "Escalation steps (late beyond 30 s)"],
  sends: ["推送（迟 60 秒以上为迟到）", "Pushes (late beyond 60 s)"],
  taken: ["已执行", "Taken"],
  sent: ["已推送", "Sent"],
  late_n: ["迟到", "Late"],
  worst: ["最迟", "Worst"],
  reached_nobody: ["未找到人", "Reached nobody"],
  overdue: ["逾期未执行", "Overdue"],
  unsent: ["过期未发出", "Never sent"],
  calls: ["再次叫应（人次）", "Called again"],
  faults: ["通道故障", "Vendor faults"],
  no_faults: ["无。", "None."],
  reason: ["原因", "Reason"],
  lines: ["条数", "Lines"],
  transport: ["通道", "Channel"],
  fatigue: ["打扰程度", "Fatigue"],
  weekly: ["每人每周信息数（有信息的周）", "Messages per person and week (weeks with any)"],
  average: ["平均", "Mean"],
  p95: ["95% 分位", "95th percentile"],
  of_drills: ["其中演练", "Of these drills"],
  most: ["最多", "Most"],
  peak: ["最高", "Highest"],
  persons: ["人", "people"],
  most_called: ["叫得最多的区域", "Most-called regions"],
  messages: ["信息", "Messages"],
  each: ["每人", "Each"],
  none: ["无。", "None."],
  sealed: ["台账已封存至", "The ledger is sealed up to"],
  synthetic: ["本报告由台账逐行统计，不含个人姓名和号码。", "Counted row by row from the ledger; it holds no names and no numbers of persons."],
  count: ["条", "bulletins"],
};
const CODES = {
  level: { none: ["解除", "ended"], notice: ["提示", "Notice"], attention: ["关注", "Attention"], alert: ["警示", "Alert"], emergency: ["紧急", "Emergency"], watch: ["关注级", "Watch"], IV: ["Ⅳ级", "IV"], III: ["Ⅲ级", "III"], II: ["Ⅱ级", "II"], I: ["Ⅰ级", "I"] },
  action: { raise: ["发布", "raised"], extend: ["扩展", "extended"], upgrade: ["升级", "upgraded"], downgrade: ["降级", "lowered"], cancel: ["解除", "cancelled"], hold: ["维持", "held"], expire: ["失效", "expired"], silent: ["失联", "silent"] },
  kind: { warning: ["预警", "Warnings"], order: ["指令", "Orders"], level: ["水情", "Levels"], message: ["通知", "Messages"] },
  hazard: { rainstorm: ["强降雨", "rain"], flood: ["防汛", "flood"], reservoir: ["水库", "reservoir"], river: ["河道", "river"], tide: ["潮位", "tide"] },
  state: { failed_perm: ["未送达", "not delivered"], failed_temp: ["待重试", "to be tried again"], sent: ["已推送", "sent"], pending: ["待发", "waiting"], sending: ["发送中", "sending"], delivered: ["已送达", "delivered"], shown: ["已展示", "shown"], opened: ["已打开", "opened"], confirmed: ["已确认", "confirmed"] },
  errand: { repeat: ["重发", "repeat"], deputy: ["转B角", "deputy"], superior: ["报上级值班", "superior desk"] },
  order: { issued: ["已发布", "issued"], withdrawn: ["已撤回", "withdrawn"], ended: ["已结束", "ended"], superseded: ["已被取代", "superseded"] },
};
const STATES = ["accepted", "delivered", "shown", "opened", "confirmed", "acting"]; // the earlier the wider, so that curves that coincide are all seen
const ENDS = ["cancel", "expire"];
const MARKS = { raise: "▲", upgrade: "▲", cancel: "✕", expire: "✕" }; // on the rain curve
const SHENZHEN_MS = 8 * 3600000; // no summer time

/** The report as one <article>; `english` chooses the words. */
export function drawReport(report, english) {
  const column = english ? 1 : 0;
  const w = (key) => WORDS[key][column];
  const named = (kind, code) => CODES[kind]?.[code]?.[column] ?? code;
  const number = (value) => Number(value).toLocaleString(english ? "en" : "zh-CN");
  const say = { w, named, number, english };
  const regions = report.regions.map((region) => region.name).join("、") || w("nowhere");
  return h("article", { class: "report" },
    h("h1", null, w("title")),
    h("p", { class: "quiet" }, `${full(report.since)} – ${full(report.until)} · ${w("of")} ${regions} · ${w("made")} ${full(report.made_at)}`),
    counters(report, say), rain(report, say), orders(report, say), receipts(report, say), warnings(report, say),
    nobody(report, say), late(report, say), faults(report, say), fatigue(report, say),
    h("p", { class: "quiet" }, w("synthetic")),
    report.seal && h("p", { class: "quiet" }, `${w("sealed")} ${full(report.seal.made_at)} · ${report.seal.id} · ${report.seal.digest}`));
}

function counters(report, { w, number }) {
  const keys = ["warnings", "reminders", "orders", "notices", "levels", "level_reminders"];
  const drills = keys.some((key) => report.counters.drill[key]);
  const line = (name) => [w(name), ...keys.map((key) => number(report.counters[name][key]))];
  return part(w("counters"), table(["", ...keys.map(w)], [line("real"), drills && line("drill")], 1));
}

// Rain: bars are the areal mean, the line the highest; a mark for each step of a warning, in its level's colour

function rain(report, { w, named }) {
  const curve = report.rain;
  if (!curve) return part(w("rain"), h("p", { class: "quiet" }, w("no_rain")));
  const [width, height, left, right, top, bottom] = [960, 300, 44, 18, 76, 24];
  const first = Date.parse(curve.since);
  const last = Date.parse(curve.until);
  const most = nice(Math.max(1, ...curve.slots.map((slot) => slot.highest_mm ?? 0)));
  const x = (at) => left + ((at - first) / (last - first)) * (width - left - right);
  const y = (mm) => height - bottom - (mm / most) * (height - bottom - top);
  const wide = Math.max(0.6, x(first + curve.step_s * 1000) - x(first) - 0.4);
  const bars = curve.slots.filter((slot) => slot.mean_mm > 0).map((slot) => s("rect", { class: "mean", x: x(Date.parse(slot.at)) - wide, y: y(slot.mean_mm), width: wide, height: y(0) - y(slot.mean_mm) }));
  const gaps = curve.slots.filter((slot) => slot.highest_mm === null).map((slot) => s("rect", { class: "gap", x: x(Date.parse(slot.at)) - wide, y: top, width: wide, height: y(0) - top }));
  const path = curve.slots.map((slot, i) => (slot.highest_mm === null ? "" : `${i && curve.slots[i - 1].highest_mm !== null ? "L" : "M"}${x(Date.parse(slot.at)).toFixed(1)} ${y(slot.highest_mm).toFixed(1)}`)).join("");
  const steps = report.warnings.filter((warning) => !warning.drill).flatMap((warning) => warning.steps.filter((step) => MARKS[step.action]).map((step) => ({ ...step, name: warning.name, at: Date.parse(step.at) }))).filter((step) => step.at >= first && step.at <= last).sort((a, b) => a.at - b.at);
  const rows = {}; // marks of one minute stand over each other
  const marks = steps.map((step) => {
    const row = rows[step.at] = (rows[step.at] ?? -1) + 1;
    const shown = ENDS.includes(step.action) ? "none" : step.level;
    return s("g", null, row === 0 && s("line", { class: "mark", x1: x(step.at), x2: x(step.at), y1: top - 4, y2: y(0) }),
      s("text", { class: `mark level-${shown}`, x: x(step.at), y: top - 8 - (row % 6) * 11, "text-anchor": "middle" }, MARKS[step.action]),
      s("title", null, `${short(step.at)} ${step.name} ${named("action", step.action)} ${named("level", step.level)}`));
  });
  const plot = s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": w("rain") },
    axis(left, width - right, y, [0, most / 2, most]), gaps, bars, s("path", { class: "highest", d: path }), marks,
    ticks(first, last).map((at) => s("text", { class: "tick", x: x(at), y: height - 6, "text-anchor": "middle" }, short(at).slice(-5))));
  const key = legend([["mean", w("mean")], ["highest", w("highest")], ...Object.keys(MARKS).map((action) => ["", `${MARKS[action]} ${named("action", action)}`])]);
  const note = `${w("mm")} · ${w("total")} ${curve.mean_total_mm} mm · ${w("present")} ${percent(curve.share)}${curve.replayed ? ` · ${w("replayed")} ${full(curve.since).slice(0, 10)}` : ""}`;
  return part(w("rain"), plot, key, h("p", { class: "quiet" }, note));
}

function orders(report, { w, named, number, english }) {
  const shares = new Map(report.bulletins.filter((line) => line.order).map((line) => [line.order, line]));
  const five = report.after_min.indexOf(5);
  const thirty = report.after_min.indexOf(30);
  const rows = report.orders.map((order) => {
    const line = shares.get(order.id);
    const share = (state, n) => (line?.people ? percent(line.curve[state][n] / line.people) : "–");
    return [short(order.issued_at), badge(order, named, w), english ? order.title_en : order.title_zh, order.name, named("order", order.status), number(order.people), share("delivered", five), share("opened", five), share("confirmed", five), share("confirmed", thirty)];
  });
  const head = [w("issued"), w("level"), w("what"), w("region"), w("status"), w("people"), ...["delivered", "opened", "confirmed"].map((state) => `${w(state)} 5 ${w("within")}`), `${w("confirmed")} 30 ${w("within")}`];
  return part(w("orders"), rows.length ? table(head, rows, 5) : h("p", { class: "quiet" }, w("none")));
}

// Receipts: one small plot a kind; minutes on a scale of roots, for most answers come early

function receipts(report, say) {
  const { w, named, number } = say;
  const plots = report.curves.filter((group) => group.people).map((group) => {
    const [width, height, left, bottom] = [300, 190, 38, 34];
    const longest = report.after_min.at(-1);
    const x = (minutes) => left + Math.sqrt(minutes / longest) * (width - left - 14);
    const y = (share) => height - bottom - share * (height - bottom - 10);
    const lines = STATES.map((state) => s("polyline", { class: state, points: [[0, 0], ...report.after_min.map((m, i) => [m, group[state][i] / group.people])].map(([m, share]) => `${x(m).toFixed(1)},${y(share).toFixed(1)}`).join(" ") }));
    const caption = `${group.drill ? `${w("drill")} ` : ""}${named("kind", group.kind)} · ${number(group.bulletins)} ${w("count")} · ${number(group.people)} ${w("persons")}`;
    const cells = STATES.map((state) => [w(state), ...group[state].map((count) => percent(count / group.people))]);
    return h("figure", null, h("figcaption", null, caption),
      s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": caption },
        axis(left, width - 8, y, [0, 0.5, 1], percent), lines,
        report.after_min.map((m) => s("text", { class: "tick", x: x(m), y: height - 20, "text-anchor": "middle" }, m)),
        s("text", { class: "tick", x: (left + width) / 2, y: height - 5, "text-anchor": "middle" }, w("minutes"))),
      table(["", ...report.after_min], cells, 1));
  });
  return part(w("receipts"), plots.length ? [legend(STATES.map((state) => [state, w(state)])), h("div", { class: "plots" }, plots)] : h("p", { class: "quiet" }, w("none")));
}

function warnings(report, { w, named }) {
  const rows = report.warnings.map((warning) => [
    short(warning.raised_at), warning.ended_at ? short(warning.ended_at) : "–", named("hazard", warning.hazard), warning.name,
    badge({ level: warning.peak_level, drill: warning.drill }, named, w),
    warning.steps.map((step) => `${short(step.at).slice(-5)} ${named("action", step.action)}${ENDS.includes(step.action) ? "" : ` ${named("level", step.level)}`}`).join(" → "),
  ]);
  return part(`${w("warnings")} · ${w("levels")}`, rows.length ? table([w("from"), w("to"), w("what"), w("region"), w("peak"), w("steps")], rows) : h("p", { class: "quiet" }, w("none")));
}

function nobody(report, { w, named, english }) {
  const rows = report.bulletins.filter((line) => line.nobody.length).map((line) => [short(line.issued_at), badge(line, named, w), english ? line.title_en : line.title_zh, line.nobody.length, line.nobody.map((code) => report.streets[code] ?? code).join("、")]);
  return part(w("nobody"), rows.length ? table([w("issued"), w("level"), w("what"), "", w("nobody")], rows) : h("p", { class: "quiet" }, w("all_answered")));
}

function late(report, { w, named, number, english }) {
  const { rungs, sends, calls, rungs_of: worst } = report.late;
  return part(w("late"),
    table([w("rungs"), w("taken"), w("late_n"), w("worst"), w("reached_nobody"), w("overdue")], [["", number(rungs.taken), number(rungs.late), `${number(rungs.worst_s)} s`, number(rungs.reached_nobody), number(rungs.overdue)]], 1),
    table([w("sends"), w("sent"), w("late_n"), w("worst"), w("unsent")], [["", number(sends.sent), number(sends.late), `${number(sends.worst_s)} s`, number(sends.unsent)]], 1),
    table([w("calls"), ...Object.keys(calls).map((errand) => named("errand", errand))], [["", ...Object.values(calls).map(number)]], 1),
    worst.length > 0 && table([w("what"), w("steps"), w("late_n"), w("worst")], worst.map((row) => [english ? row.title_en : row.title_zh, named("errand", row.errand), number(row.steps), `${number(row.worst_s)} s`]), 2));
}

function faults(report, { w, named, number }) {
  const rows = report.faults.map((row) => [row.transport, row.reason, named("state", row.state), number(row.lines)]);
  return part(w("faults"), rows.length ? table([w("transport"), w("reason"), w("status"), w("lines")], rows, 3) : h("p", { class: "quiet" }, w("no_faults")));
}

function fatigue(report, { w, number }) {
  const { people, messages, drill_messages: drills, weekly, regions } = report.fatigue;
  return part(w("fatigue"),
    table([w("weekly"), w("people"), w("messages"), w("of_drills"), w("average"), w("p95"), w("most")], [["", number(people), number(messages), number(drills), weekly.mean, weekly.p95, weekly.most]], 1),
    regions.length > 0 && table([w("most_called"), w("people"), w("messages"), w("each")], regions.map((row) => [row.name, number(row.people), number(row.messages), row.each]), 1));
}

// Pieces

const part = (title, ...nodes) => h("section", null, h("h2", null, title), ...nodes);
const badge = (line, named, w) => h("span", { class: `level level-${line.level}` }, `${line.drill ? `${w("drill")} ` : ""}${named("level", line.level)}`);
const percent = (share) => `${Math.round(share * 100)}%`;
const short = (at) => new Date((typeof at === "number" ? at : Date.parse(at)) + SHENZHEN_MS).toISOString().slice(5, 16).replace("T", " ");
const full = (iso) => iso.slice(0, 16).replace("T", " ");
const nice = (value) => { const ten = 10 ** Math.floor(Math.log10(value)); return [1, 2, 4, 5, 10].map((n) => n * ten).find((n) => n >= value); };

/** Columns from `numbers` on are figures and stand right; short texts are not broken; empty rows are left out. */
function table(head, rows, numbers = Infinity) {
  const cell = (name, value, i) => h(name, { class: i >= numbers ? "number" : String(value).length < 12 || value instanceof Node ? "short" : null }, value);
  return h("table", null, h("thead", null, h("tr", null, head.map((text, i) => cell("th", text, i)))),
    h("tbody", null, rows.filter(Boolean).map((row) => h("tr", null, row.map((value, i) => cell("td", value, i))))));
}

const legend = (entries) => h("ul", { class: "legend" }, entries.map(([cls, text]) => h("li", null, cls && s("svg", { class: "plot key", viewBox: "0 0 18 10" }, cls === "mean" ? s("rect", { class: "mean", x: 4, y: 0, width: 8, height: 10 }) : s("path", { class: cls, d: "M0 5H18" })), text)));
const axis = (left, right, y, values, text = String) => values.map((value) => s("g", null, s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }), s("text", { class: "tick", x: left - 5, y: y(value) + 4, "text-anchor": "end" }, text(value))));

/** About eight whole hours between two instants (ms). */
function ticks(first, last) {
  const hour = 3600000;
  const step = [0.25, 0.5, 1, 2, 3, 6, 12].map((hours) => hours * hour).find((ms) => (last - first) / ms <= 9) ?? 12 * hour;
  return Array.from({ length: Math.floor(last / step) - Math.ceil(first / step) + 1 }, (_, i) => (Math.ceil(first / step) + i) * step);
}

const h = (name, attributes, ...children) => build(document.createElement(name), attributes, children);
const s = (name, attributes, ...children) => build(document.createElementNS(SVG, name), attributes, children);

function build(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}
