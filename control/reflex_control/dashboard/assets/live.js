// A live session: its heartbeats as they come, and a word when it is promoted or ends.

import { number } from "./chart.js";
import { Heartbeats } from "./heartbeats.js";

const COUNTS = ["steps", "appliedSteps", "latencyMs", "guardViolations", "safeStops"];
const charts = document.querySelector("#charts");
const link = document.querySelector("#link");
const changed = document.querySelector("#changed");
const heartbeats = new Heartbeats(charts);
const stream = new EventSource("/live");

function mine(event) {
  const told = JSON.parse(event.data);
  return told.sessionId === charts.dataset.session ? told : null;
}

stream.addEventListener("heartbeat", (event) => {
  const told = mine(event);
  if (told === null) return;
  for (const name of COUNTS) document.getElementById(name).textContent = number(told[name]);
  for (const name of ["guardViolations", "safeStops"])
    document.getElementById(name).parentElement.classList.toggle("care", told[name] > 0);
  heartbeats.add(told);
  link.textContent = `Live. Last heartbeat: ${told.at.slice(11, 19)} UTC.`;
});

stream.addEventListener("session", (event) => {
  const told = mine(event);
  if (told === null) return;
  const word = { dry_run: "is in dry_run", apply_actions: "was promoted and moves the robot" }[told.status];
  const again = document.createElement("a");
  again.href = location.pathname;
  again.textContent = "Reload the page";
  changed.replaceChildren(`This session ${word ?? `has ended (${told.status})`}. `, again, " to see it as it is now.");
  changed.hidden = false;
  document.querySelector("#mode").textContent = told.mode;
  if (word === undefined) stream.close();
});

stream.addEventListener("open", () => {
  link.textContent = "Live. Waiting for the next heartbeat.";
});
stream.addEventListener("error", () => {
  link.textContent = "Not live: the connection was lost, and is tried again.";
});
