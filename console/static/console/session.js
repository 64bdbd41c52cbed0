// Who is signed in, and asking the server as him. Tokens live in this tab only (sessionStorage).

import { language, word } from "./words.js";

const KEPT = "console.tokens";
const FLOW = "console.flow"; // a sign-in that is away at the city's portal
const DEVICE = { platform: "web", name: "console", push: null };
const TIMEOUT_MS = 15000;
const answers = new Map(); // path -> {etag, body}: a 304 costs no body
let tokens = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
let refreshing = null;
let onSignedOut = () => {};

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `${word("server_fault")} (HTTP ${status})`);
    this.status = status;
    this.said = body?.message ?? `HTTP ${status}`; // for a line that is tried again by itself
    this.code = body?.code ?? "";
    this.fields = body?.fields ?? {};
  }
}

/** What is said to a person of an act that failed: the server's words with its fields, or that it was not reached. */
export function spoken(error) {
  if (!(error instanceof Refused)) return word("no_answer");
  const fields = Object.entries(error.fields).map(([name, why]) => `${name}: ${typeof why === "string" ? why : JSON.stringify(why)}`);
  return [error.message, fields.join("; ")].filter(Boolean).join(" – ");
}

export const signedIn = () => tokens !== null;
export const whenSignedOut = (run) => { onSignedOut = run; };

export async function askCode(phone) {
  await bare("auth/otp", { phone });
}

export async function signIn(phone, code) {
  keep(await bare("auth/sessions", { phone, code, device: DEVICE }));
}

/** Leaves for the city's portal, which sends the browser back to portal.js. */
export async function leaveForPortal() {
  const { authorize_url, flow } = await bare("auth/oidc/start", { device: DEVICE });
  sessionStorage.setItem(FLOW, JSON.stringify({ flow, page: location.pathname + location.search + location.hash }));
  location.assign(authorize_url);
}

/** Signs in with what the portal said in its address; answers the page to go on to. Only in the tab that left for it. */
export async function signInFromPortal(said) {
  const left = JSON.parse(sessionStorage.getItem(FLOW) ?? "null");
  sessionStorage.removeItem(FLOW);
  if (!left) throw new Refused(400, { message: word("portal_elsewhere") });
  if (!said.has("code")) throw new Refused(400, { message: word("portal_declined") });
  const [code, state, iss] = ["code", "state", "iss"].map((name) => said.get(name) ?? undefined);
  keep(await bare("auth/oidc/sessions", { flow: left.flow, code, state, iss }));
  return left.page;
}

export async function signOut() {
  await api("auth/sessions/current", { method: "DELETE" }).catch(() => null); // the server ends it by itself later
  forget();
}

/** JSON of `/api/v1/<path>`; refreshes the token once on 401. Throws Refused, or TypeError/AbortError offline. */
export async function api(path, { method = "GET", body, key } = {}) {
  let response = await send(path, method, body, key);
  if (response.status === 401) {
    await refresh();
    response = await send(path, method, body, key);
  }
  if (response.status === 304) return answers.get(path).body;
  const answer = await read(response);
  const etag = response.headers.get("ETag");
  if (method === "GET" && etag) answers.set(path, { etag, body: answer });
  return answer;
}

/** A picture of `/api/v1/<path>` as a Blob: an <img> cannot carry the token. Throws as `api` does. */
export async function picture(path) {
  let response = await send(path, "GET");
  if (response.status === 401) {
    await refresh();
    response = await send(path, "GET");
  }
  if (!response.ok) throw new Refused(response.status, null);
  return response.blob();
}

/** Sends a file as the form field `file` to `/api/v1/<path>`; JSON of the answer. Throws as `api` does. */
export async function upload(path, file) {
  const body = new FormData();
  body.append("file", file);
  let response = await send(path, "POST", body, newKey());
  if (response.status === 401) {
    await refresh();
    response = await send(path, "POST", body, newKey());
  }
  return read(response);
}

/** A fresh Idempotency-Key; randomUUID exists only on https. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function send(path, method, body, key) {
  const headers = { "Accept-Language": language(), Authorization: `Bearer ${tokens?.access ?? ""}` };
  const file = body instanceof FormData; // then the browser names the type, with its boundary
  if (body !== undefined && !file) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (method === "GET" && answers.has(path)) headers["If-None-Match"] = answers.get(path).etag;
  return fetch(`/api/v1/${path}`, { method, headers, body: file ? body : body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
}

async function bare(path, body) {
  const headers = { "Accept-Language": language(), "Content-Type": "application/json" };
  const response = await fetch(`/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT_MS) });
  return read(response);
}

async function read(response) {
  const text = await response.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch { /* a proxy's page, not ours */ }
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

/** One refresh at a time: a refresh token used twice would end the session. */
async function refresh() {
  refreshing ??= bare("auth/refresh", { refresh: tokens?.refresh ?? "" })
    .then(keep)
    .catch((error) => {
      if (error instanceof Refused && error.status < 500) forget();
      throw error;
    })
    .finally(() => { refreshing = null; });
  return refreshing;
}

function keep({ access, refresh: next }) {
  tokens = { access, refresh: next };
  sessionStorage.setItem(KEPT, JSON.stringify(tokens));
}

function forget() {
  tokens = null;
  answers.clear();
  sessionStorage.removeItem(KEPT);
  onSignedOut();
}
