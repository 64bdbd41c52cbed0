// Where the city's portal sends the browser back: trades what the address brings for a session, then on to the page left.

import { signInFromPortal, spoken } from "./session.js";
import { dressPage } from "./words.js";

const box = (id) => document.getElementById(id);
const said = new URLSearchParams(location.search);
history.replaceState(null, "", location.pathname); // the code leaves the address bar and the history

dressPage();
try {
  location.replace(await signInFromPortal(said));
} catch (error) {
  box("portal-wait").hidden = true;
  box("sign-in-fault").textContent = spoken(error);
  box("again").hidden = false;
}
