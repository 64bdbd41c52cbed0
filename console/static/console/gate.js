// The door of every page: sign in by one-time code, sign out, change the language. Says nothing of what lies behind it.

import { dressPage, switchLanguage } from "./words.js";
import { askCode, signedIn, signIn, signOut, whenSignedOut } from "./session.js";

const box = (id) => document.getElementById(id);

/** Shows `#sign-in` or the element `page`; calls enter() once in, leave() once out, dress() after a change of language. */
export function openGate({ page, enter, leave, dress }) {
  const show = (inside) => { box("sign-in").hidden = inside; box(page).hidden = !inside; };
  const goIn = () => { show(true); return enter(); };
  const goOut = () => { leave(); show(false); box("phone").focus(); };
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
  box("sign-out").onclick = signOut;
  for (const button of document.querySelectorAll(".language")) button.onclick = () => { switchLanguage(); dressPage(); dress(); };
  whenSignedOut(goOut);
  dressPage();
  if (signedIn()) goIn();
  else goOut();
}

async function tryTo(act) {
  const fault = box("sign-in-fault");
  fault.textContent = "";
  try { await act(); } catch (error) { fault.textContent = error.message; }
}
