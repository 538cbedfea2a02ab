// Asks the run what it does, five times a second, and shows it. All text is set as text: what a server says does nothing here.
import { drawPlot, makePlot } from "/plot.js";

const EVERY_MS = 200, OLD_S = 0.5, SILENT_S = 2;
const MOTIONS = { wait: ["waiting", ""], move: ["moving", "good"], hold: ["holding", ""], stop: ["stopped", "bad"] };
const KINDS = { below_range: "below its range", above_range: "above its range", step_limit: "too far in one step" };
const plots = new Map(), cameras = new Map();
const at = (id) => document.getElementById(id);

function made(name, text, kind) {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function seconds(value) {
  return value === null ? "?" : `${Math.max(0, value).toFixed(1)} s`;
}

function showCameras(found, problems) {
  for (const [name, age] of Object.entries(found)) {
    if (!cameras.has(name)) cameras.set(name, addCamera(name));
    const shown = cameras.get(name), isOld = age === null || age > OLD_S, problem = problems[name];
    shown.age.textContent = age === null ? "no picture yet" : isOld ? `frozen: ${seconds(age)} old` : `${Math.round(age * 1000)} ms old`;
    shown.age.className = isOld ? "old" : "";
    shown.image.hidden = problem !== undefined;
    shown.problem.hidden = problem === undefined;
    if (problem !== undefined && shown.problem.textContent !== problem) shown.problem.textContent = problem;
  }
}

function addCamera(name) {
  const figure = document.createElement("figure"), image = document.createElement("img"), caption = document.createElement("figcaption");
  const age = document.createElement("span"), problem = made("p", "", "trouble");
  problem.hidden = true;
  image.alt = `What the camera ${name} sees`;
  image.src = `/camera/${encodeURIComponent(name)}`;
  image.addEventListener("error", () => setTimeout(() => { image.src = `/camera/${encodeURIComponent(name)}?${Date.now()}`; }, 1000));
  caption.append(made("b", name), age);
  figure.append(image, problem, caption);
  at("cameras").append(figure);
  return { age, image, problem };
}

function showAxes(axes) {
  for (const axis of axes) {
    if (!plots.has(axis.name)) {
      plots.set(axis.name, makePlot(axis));
      at("axes").append(plots.get(axis.name).figure);
    }
    drawPlot(plots.get(axis.name), axis);
  }
}

function showNumbers(run) {
  const latency = run.latencyMs, chunk = run.chunk;
  const lines = {
    "step": run.step ?? "none yet",
    "commands applied": run.appliedSteps,
    "steps that the guard changed": run.clampedSteps,
    "from observation to answer": latency ? `${latency.last} ms, half within ${latency.p50}, 99 % within ${latency.p99} ms` : "no answer yet",
    "newest chunk": chunk ? `number ${chunk.seq}, ${chunk.steps} steps, ${seconds(chunk.age)} old` : "none yet",
    "latest beginning of a period": `${run.lateMs} ms late`,
  };
  at("numbers").replaceChildren(...Object.entries(lines).flatMap(([name, value]) => [made("dt", name), made("dd", String(value))]));
}

function showGuard(lines) {
  at("guard").hidden = lines.length === 0;
  at("guard-none").hidden = lines.length > 0;
  at("guard").tBodies[0].replaceChildren(...lines.map((line) => {
    const row = document.createElement("tr");
    row.append(...[seconds(line.age), line.step, line.axis, line.value, line.limit, KINDS[line.kind] ?? line.kind].map((cell) => made("td", String(cell))));
    return row;
  }));
}

let newest = "";
function showEvents(events) {
  const first = JSON.stringify(events.map((event) => [event.code, event.message]));
  if (first === newest) return;
  newest = first;
  at("events").replaceChildren(...events.map((event) => {
    const line = document.createElement("li");
    line.append(made("span", event.level, event.level), ` ${event.code}: ${event.message}`);
    return line;
  }));
}

function show(run) {
  const [motion, kind] = MOTIONS[run.motion] ?? [run.motion, ""];
  const applies = run.mode === "apply_actions";
  const badges = [["mode", applies ? "applies actions" : "dry run: nothing moves", applies ? "good" : ""], ["motion", motion, kind]];
  at("robot").textContent = run.robot;
  for (const [id, text, look] of badges) {
    if (at(id).textContent !== text) at(id).textContent = text;
    at(id).className = `badge ${look}`;
  }
  at("gone").hidden = run.tickAge === null || run.tickAge < SILENT_S;
  showCameras(run.cameras, run.problems);
  showAxes(run.axes);
  showNumbers(run);
  showGuard(run.guard);
  showEvents(run.events);
}

async function look() {
  try {
    const answer = await fetch("/run.json", { cache: "no-store" });
    show(await answer.json());
  } catch {
    at("gone").hidden = false;
  }
  setTimeout(look, EVERY_MS);
}

// After the page is loaded: a film never ends, and a page that waits for one never is.
window.addEventListener("load", look);
