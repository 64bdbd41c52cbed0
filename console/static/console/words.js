// Every word of the page in two languages: [zh, en]. Chinese unless the reader chose English on this machine.

const WORDS = {
  title: ["一键通 · 三防值班台", "Yijiantong · flood duty desk"],
  phone: ["手机号码", "Mobile number"],
  get_code: ["获取验证码", "Send code"],
  code: ["验证码", "Code"],
  sign_in: ["登录", "Sign in"],
  sign_out: ["退出", "Sign out"],
  code_sent: ["如号码在册，验证码已发送。", "If the number is on the roster, a code is on its way."],
  other_language: ["English", "中文"],
  keys: ["快捷键：M 地图 · W 预警 · D 发送 · O 指令 · N 新指令 · Esc 关闭", "Keys: M map · W warnings · D dispatches · O orders · N new order · Esc close"],
  synthetic: ["含演示（合成）站点，不得用于实际指挥", "Contains synthetic demonstration stations: not for real command"],
  replay: ["历史暴雨回放中，时间为回放时间", "A past storm is being replayed; its times are the replay's"],
  replay_mark: ["回放", "replay"],
  synthetic_mark: ["合成", "synthetic"],
  drill: ["演练", "DRILL"],
  // connection
  socket_live: ["实时", "live"],
  socket_joining: ["连接中", "connecting"],
  socket_polling: ["断线，轮询中", "socket down, polling"],
  offline: ["服务器无响应，数据停在", "Server not answering; figures are of"],
  loading: ["读取中…", "Loading…"],
  more: ["更多", "More"],
  // figures
  big_warnings: ["生效预警", "Active warnings"],
  big_unanswered: ["未应答人次", "Unanswered"],
  big_silent: ["无人应答街道", "Silent streets"],
  big_exhausted: ["叫应未果", "Call-out failed"],
  big_over: ["超限水库/河道", "Levels over limit"],
  big_blind: ["失联站点", "Stations without data"],
  big_feeds: ["异常数据源", "Feeds at fault"],
  // map
  map: ["态势图", "Map"],
  map_note: ["街道分区为最近中心点范围，并非法定边界", "zones are nearest-centre areas, not legal boundaries"],
  map_break: ["此处断开", "map is broken here"],
  map_whole: ["全图", "Whole"],
  legend_silent: ["无人应答的街道", "street where nobody answered"],
  reservoir: ["水库", "Reservoir"],
  river: ["河道", "River"],
  level_now: ["水位", "Level"],
  limit: ["限值", "Limit"],
  over_by: ["超限", "Over by"],
  below_by: ["低于限值", "Below by"],
  trend: ["变化", "Change"],
  observed: ["观测", "Observed"],
  ago: ["前", "ago"],
  no_reading: ["无读数", "No reading"],
  station_normal: ["正常", "normal"],
  station_near: ["接近限值", "near limit"],
  station_over: ["超限", "over limit"],
  station_design: ["超设计水位", "over design level"],
  station_check: ["超校核水位", "over check level"],
  station_stale: ["数据过时", "stale"],
  station_unknown: ["未知", "unknown"],
  // street
  street_pick: ["点选街道查看雨量、预警与未应答人员", "Pick a street for its rain, warnings and who has not answered"],
  rain: ["雨量", "Rain"],
  rain_max: ["最大 mm（实测：站点；预报：格点）", "max mm (observed: gauges; nowcast: cells)"],
  rain_mean: ["面雨量 mm", "areal mean mm"],
  rain_share: ["到报率", "present"],
  unanswered: ["未应答", "Not answered"],
  all_answered: ["无未应答人员", "Nobody owes an answer"],
  out_of_scope: ["不在您的人员管辖范围内", "Outside the people you answer for"],
  // warnings
  warnings: ["生效预警", "Active warnings"],
  none_active: ["当前无生效预警", "No active warning"],
  since: ["起于", "since"],
  peak: ["最高", "peak"],
  reasons: ["依据", "Reasons"],
  by_hand: ["人工发布，无计算依据", "Raised by hand, without computed reasons"],
  rule_version: ["规则版本", "Rule version"],
  slot: ["时次", "Slot"],
  nowcast_run: ["临近预报", "Nowcast run"],
  none: ["无", "none"],
  missing_share: ["缺测比例", "Missing"],
  excluded: ["剔除站点", "Excluded stations"],
  window: ["时段", "Window"],
  value: ["数值", "Value"],
  threshold: ["阈值", "Threshold"],
  source: ["来源", "Source"],
  share: ["到报", "Present"],
  agree: ["旁证", "Agrees"],
  missing: ["缺测", "missing"],
  five_minutes: ["5分钟雨量", "5-minute rain"],
  sum: ["合计", "sum"],
  max: ["最大", "max"],
  no_reason: ["该街道本次无计算依据（持续中）", "No computed reason in this slot (held)"],
  // dispatches
  dispatches: ["发送与回执", "Dispatches and receipts"],
  none_sent: ["暂无发送", "Nothing sent yet"],
  total: ["应达", "Total"],
  pushed: ["已推送", "Pushed"],
  delivered: ["已送达", "Delivered"],
  opened: ["已打开", "Opened"],
  confirmed: ["已确认", "Confirmed"],
  waiting: ["待发", "Waiting"],
  failed: ["未送达", "Failed"],
  answered: ["已应答", "Answered"],
  escalated: ["叫应", "Escalated"],
  exhausted: ["叫应未果", "Call-out failed"],
  nobody: ["无人应答的街道", "Streets where nobody answered"],
  by_district: ["分区", "By district"],
  by_street: ["分街道", "By street"],
  district: ["区", "District"],
  street: ["街道", "Street"],
  name: ["姓名", "Name"],
  post: ["岗位", "Post"],
  state: ["状态", "State"],
  rung: ["叫应级", "Rung"],
  deadline: ["截止", "Deadline"],
  expired: ["已失效", "expired"],
  in_force: ["有效至", "valid until"],
  // orders
  orders: ["响应指令", "Response orders"],
  none_ordered: ["暂无指令", "No orders"],
  new_order: ["新指令", "New order"],
  response_level: ["响应级别", "Response level"],
  authority: ["发令机关", "Authority"],
  areas: ["范围（不选即全部）", "Areas (none chosen: all)"],
  duties: ["发送岗位", "Duties"],
  order_title: ["标题", "Title"],
  order_text: ["正文", "Text"],
  order_deadline: ["回执截止（分钟后）", "Receipt wanted within (minutes)"],
  order_valid: ["有效（小时）", "Valid for (hours)"],
  as_drill: ["演练指令（创建后不可更改）", "A drill (never changeable)"],
  preview: ["预览人数", "Preview head count"],
  will_reach: ["将发送给", "Will be sent to"],
  no_device: ["无在线设备", "without a live device"],
  people: ["人", "people"],
  save_submit: ["提交审批", "Submit for approval"],
  cancel: ["取消", "Cancel"],
  sure: ["再点一次确认", "Click again to confirm"],
  drafted_by_you: ["须由另一人批准", "Another person must approve"],
  command_only: ["须由指挥岗操作", "Only a commander may do this"],
  desk_only: ["须由值班岗操作", "Only the duty desk may do this"],
  submit: ["提交", "Submit"],
  approve: ["批准", "Approve"],
  reject: ["退回", "Reject"],
  issue: ["发布", "Issue"],
  withdraw: ["撤回", "Withdraw"],
  end: ["结束", "End"],
};

const CODES = {
  level: { none: ["无", "none"], notice: ["提示", "Notice"], attention: ["关注", "Attention"], alert: ["警示", "Alert"], emergency: ["紧急", "Emergency"],
    watch: ["关注级", "Watch"], IV: ["Ⅳ级", "Level IV"], III: ["Ⅲ级", "Level III"], II: ["Ⅱ级", "Level II"], I: ["Ⅰ级", "Level I"] },
  duty: { command: ["指挥", "Command"], desk: ["值班", "Duty desk"], flood: ["三防责任人", "Flood officer"], reporter: ["灾害信息员", "Reporter"], forest: ["森防人员", "Forest officer"] },
  state: { pending: ["待发", "pending"], sending: ["发送中", "sending"], failed_temp: ["待重试", "to retry"], failed_perm: ["未送达", "not delivered"], sent: ["已推送", "pushed"], delivered: ["已送达", "delivered"], opened: ["已打开", "opened"], confirmed: ["已确认", "confirmed"] },
  errand: { first: ["首发", "first"], repeat: ["重发", "repeated"], deputy: ["转B角", "deputy called"], superior: ["报上级", "superior called"] },
  climb: { climbing: ["叫应中", "calling"], answered: ["已应答", "answered"], exhausted: ["无人应答", "no answer"], stopped: ["已停止", "stopped"] },
  feed: { normal: ["正常", "normal"], late: ["迟到", "late"], stale: ["中断", "stale"], silent: ["未到过", "never came"] },
  limit: { flood_season: ["汛限", "flood-season"], normal: ["正常", "normal"], design: ["设计", "design"], check: ["校核", "check"], warning: ["警戒", "warning"], guarantee: ["保证", "guarantee"] },
  order: { draft: ["草稿", "Draft"], submitted: ["待审", "Submitted"], approved: ["已批准", "Approved"], rejected: ["已退回", "Rejected"], issued: ["已发布", "Issued"], withdrawn: ["已撤回", "Withdrawn"], ended: ["已结束", "Ended"] },
};

const KEPT = "console.language";
let column = localStorage.getItem(KEPT) === "en" ? 1 : 0;

export const language = () => (column ? "en" : "zh-CN");
export const word = (key) => WORDS[key]?.[column] ?? key;
export const named = (kind, code) => CODES[kind]?.[code]?.[column] ?? code ?? "";
export const either = (zh, en) => (column ? en || zh : zh);
export const codesOf = (kind) => Object.keys(CODES[kind]);

export function switchLanguage() {
  column = 1 - column;
  localStorage.setItem(KEPT, column ? "en" : "zh");
}

/** Writes the chosen language into the page's fixed texts (`data-word`, `data-label`). */
export function dressPage(root = document) {
  document.documentElement.lang = language();
  document.title = word("title");
  for (const node of root.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", word(node.dataset.label));
}

/** "rain_60min" -> "1小时雨量"; "nowcast_120min" -> "未来2小时". Unknown names stay as they are. */
export function windowName(name) {
  const parts = /^(rain|nowcast)_(\d+)min$/.exec(name);
  if (!parts) return name;
  const minutes = Number(parts[2]);
  const hours = minutes % 60 === 0 ? minutes / 60 : 0;
  const span = hours ? either(`${hours}小时`, `${hours} h`) : either(`${minutes}分钟`, `${minutes} min`);
  return parts[1] === "rain" ? either(`过去${span}`, `past ${span}`) : either(`未来${span}`, `next ${span}`);
}
