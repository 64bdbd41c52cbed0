// The socket: hints that something changed. What changed is read over HTTP, so a lost frame costs seconds.

import { api } from "./session.js";

const RETRY_MS = [1000, 2000, 5000, 10000, 20000];
const SILENCE_MS = 60000; // the server pings every 25 s
const POLL_MS = 10000;
const KEPT = "console.seq"; // the inbox items this tab has had; they are only hints here
const REPLACED = 4409; // another tab of the same sign-in has the socket; taking it back would only be a fight
const OUTSIDE = 4403; // my posts are others by now: the page reads anew what it may show

/**
 * Keeps one socket open and calls `on.levels()`, `on.board()`, `on.everything()` (after each welcome and, while
 * the socket is down, every 10 s) and `on.state("live" | "joining" | "polling")`. Returns a function that ends it.
 */
export function listen(topics, on) {
  let socket = null;
  let tries = 0;
  let ended = false;
  let lastHeard = 0;
  let retry = 0;

  async function join() {
    on.state(tries ? "polling" : "joining");
    let ticket;
    try {
      ({ ticket } = await api("auth/tickets", { method: "POST" }));
    } catch {
      return later();
    }
    if (ended) return undefined;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/ws/v1/`);
    lastHeard = Date.now();
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", ticket, topics, since: Number(sessionStorage.getItem(KEPT) ?? 0) }));
    socket.onmessage = ({ data }) => hear(JSON.parse(data));
    socket.onclose = ({ code }) => (code === REPLACED ? yieldTo() : code === OUTSIDE ? anew() : later());
    return undefined;
  }

  function hear(frame) {
    lastHeard = Date.now();
    if (frame.type === "welcome") {
      tries = 0;
      sessionStorage.setItem(KEPT, String(frame.seq)); // earlier than asked when the ledger came back from a backup
      on.state("live");
      on.everything();
    } else if (frame.type === "levels") on.levels();
    else if (frame.type === "board") on.board();
    else if (frame.type === "inbox") {
      sessionStorage.setItem(KEPT, String(frame.seq));
      on.board();
    }
  }

  function later() {
    socket = null;
    if (ended) return undefined;
    on.state("polling");
    clearTimeout(retry);
    retry = setTimeout(join, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2));
    tries += 1;
    return undefined;
  }

  function anew() {
    on.state("polling");
    retry = setTimeout(() => location.reload(), POLL_MS * Math.random());
  }

  function yieldTo() {
    socket = null;
    on.state("polling");
  }

  const watch = setInterval(() => {
    if (!socket || socket.readyState !== WebSocket.OPEN) on.everything();
    else if (Date.now() - lastHeard > SILENCE_MS) socket.close();
  }, POLL_MS);
  join();
  return () => {
    ended = true;
    clearInterval(watch);
    clearTimeout(retry);
    socket?.close();
  };
}
