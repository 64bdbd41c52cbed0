// The door of every page: sign in by one-time code or through the city's portal, sign out, change the language. Says nothing of what lies behind it.

import { openDevices } from "./devices.js";
import { dressPage, either, switchLanguage, word } from "./words.js";
import { api, askCode, leaveForPortal, Refused, signedIn, signIn, signOut, spoken, whenSignedOut } from "./session.js";

const box = (id) => document.getElementById(id);

const AGAIN_MS = 5000;

/**
 * Shows `#sign-in` or the element `page`, and every second how the parts of `reading` stand. Once in: know(me) learns what
 * the page cannot do without, again every 5 s while that fails, then dress() and begin(); once out, with the reading
 * forgotten: leave(). dress() also after a change of language while inside.
 */
export function openGate({ page, reading, know, begin = () => {}, leave, dress }) {
  let visit = 0; // what an earlier visit still waits for is nothing to this one
  let me = null;
  const show = (inside) => { box("sign-in").hidden = inside; box(page).hidden = !inside; };
  const warn = (message) => { box("offline").hidden = !message; box("offline").textContent = message; };
  const dressIn = () => {
    box("who").textContent = `${me.officer.name} · ${me.regions.map((region) => region.name).join(either("、", ", "))}`;
    reading.forget();
    dress();
    reading.show();
  };
  const learn = async (mine) => {
    let fault = "";
    try {
      const told = await api("me");
      if (mine === visit) await know(told);
      if (mine === visit) me = told;
    } catch (error) {
      fault = error instanceof Refused ? spoken(error) : word("offline_unread");
    }
    if (mine !== visit) return;
    warn(fault);
    if (!me) setTimeout(() => { if (mine === visit) learn(mine); }, AGAIN_MS);
    else { dressIn(); begin(); }
  };
  const goIn = () => { show(true); reading.show(); return learn(visit += 1); };
  const goOut = () => { [visit, me] = [visit + 1, null]; box("devices").close(); reading.reset(); leave(); show(false); box("phone").focus(); };
  box("phone-form").onsubmit = (event) => {
    event.preventDefault();
    tryTo(async () => {
      await askCode(box("phone").value);
      box("code-form").hidden = false;
      box("code-sent").hidden = false;
      box("code").focus();
    });
  };
  box("code-form").onsubmit = (event) => {
    event.preventDefault();
    tryTo(async () => { await signIn(box("phone").value, box("code").value.trim()); box("code").value = ""; await goIn(); });
  };
  box("portal")?.addEventListener("click", () => tryTo(leaveForPortal)); // only where there is one
  box("sign-out").onclick = signOut;
  box("who").onclick = openDevices;
  for (const button of document.querySelectorAll(".language")) button.onclick = () => { switchLanguage(); dressPage(); if (me) dressIn(); };
  whenSignedOut(goOut);
  dressPage();
  setInterval(() => reading.show(), 1000);
  if (signedIn()) goIn();
  else goOut();
}

async function tryTo(act) {
  const fault = box("sign-in-fault");
  fault.textContent = "";
  try { await act(); } catch (error) { fault.textContent = spoken(error); }
}
