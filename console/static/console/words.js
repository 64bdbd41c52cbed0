// Every word of the pages in two languages: [zh, en]. Chinese unless the reader chose English on this machine.
// Here is what every page says, and how words are found; each page's own stand in words_<page>.js.

import { BOARD } from "./words_board.js";
import { CODES } from "./words_codes.js";
import { DANGER } from "./words_danger.js";
import { DRILLS } from "./words_drills.js";
import { FEEDS } from "./words_feeds.js";
import { GROUND } from "./words_ground.js";
import { ORDERS } from "./words_orders.js";
import { PEOPLE } from "./words_people.js";
import { SLO } from "./words_slo.js";
import { WATER } from "./words_water.js";

const SHELL = {
  title: ["一键通 · 三防值班台", "Flood duty desk"],
  product: ["一键通 · 三防值班台", "Yijiantong · flood duty desk"],
  phone: ["手机号码", "Mobile number"],
  get_code: ["获取验证码", "Send code"],
  code: ["验证码", "Code"],
  sign_in: ["登录", "Sign in"],
  sign_out: ["退出", "Sign out"],
  devices: ["我的设备", "My devices"],
  devices_note: ["手机遗失请立即移除：该设备随即退出登录，不再接收推送。", "Remove a lost phone at once: it is signed out and gets no more pushes."],
  device_since: ["登记", "registered"],
  device_used: ["最近使用", "last used"],
  device_this: ["本机", "this one"],
  device_remove: ["移除", "Remove"],
  code_sent: ["如号码在册，验证码已发送。", "If the number is on the roster, a code is on its way."],
  portal_sign_in: ["通过圳应急登录", "Sign in through the city portal"],
  portal_wait: ["正在登录…", "Signing you in…"],
  portal_again: ["返回登录", "Back to sign-in"],
  portal_declined: ["圳应急没有完成登录。请重试，或改用手机验证码。", "The city portal did not sign you in. Try again, or use a one-time code."],
  portal_elsewhere: ["这次登录不是从本页面发起的。如在手机应用中发起，请回到应用；否则请重新登录。", "This sign-in was not begun here. If you began it in the phone app, go back to it; else sign in again."],
  other_language: ["English", "中文"],
  keys: ["快捷键：M 地图 · W 预警 · D 发送 · O 指令 · N 新指令 · Esc 关闭", "Keys: M map · W warnings · D dispatches · O orders · N new order · Esc close"],
  synthetic: ["含演示（合成）站点，不得用于实际指挥", "Contains synthetic demonstration stations: not for real command"],
  replay: ["历史暴雨回放中，时间为回放时间", "A past storm is being replayed; its times are the replay's"],
  replay_mark: ["回放", "replay"],
  synthetic_mark: ["合成", "synthetic"],
  drill: ["演练", "DRILL"],
  page_board: ["值班台", "Board"],
  page_orders: ["指令", "Orders"],
  page_danger: ["预警", "Warnings"],
  page_drills: ["演练", "Drills"],
  page_ground: ["灾情", "Ground"],
  page_people: ["叫应", "People"],
  page_water: ["水情", "Water"],
  page_feeds: ["数据", "Data"],
  page_slo: ["运行", "Service"],
  page_report: ["复盘", "Report"],
  // connection
  socket_live: ["实时", "live"],
  socket_joining: ["连接中", "connecting"],
  socket_polling: ["断线，轮询中", "no socket, polling"],
  socket_reading: ["读取中", "loading"],
  socket_partly: ["部分未读到", "incomplete"],
  offline_unread: ["服务器无响应，尚未读到任何数据", "Server not answering; nothing has been read yet"],
  partly_read: ["部分内容未读到或未更新，见各处标注；未读到不等于没有", "Parts could not be read or are out of date, as marked; not read does not mean none"],
  not_read: ["暂时读取不到，自动重试中", "Cannot be read now; trying again"],
  not_read_once: ["没有读到，请重试", "Could not be read; try again"],
  not_renewed: ["未按时更新", "Not renewed in time"],
  stopped_at: ["数据停在", "as of"],
  figure_not_read: ["未读到", "not read"],
  server_fault: ["服务器出错，请重试", "Server fault; try again"],
  no_answer: ["服务器没有应答，可能未办成，请刷新后再试", "No answer from the server; it may not be done: look again, then retry"],
  offline: ["服务器无响应，数据停在", "Server not answering; figures are of"],
  loading: ["读取中…", "Loading…"],
  more: ["更多", "More"],
};

const WORDS = { ...SHELL, ...DANGER, ...DRILLS, ...PEOPLE, ...BOARD, ...WATER, ...FEEDS, ...GROUND, ...ORDERS, ...SLO };

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
