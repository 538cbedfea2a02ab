// The page at /: what is served, how it does, and a form that asks it for a chunk.
import { Refusal, act, getConfig, hasKey, useKey } from "./api.js";
import { charts } from "./chart.js";
import { curlLines, pythonLines } from "./code.js";
import { byId, element, number } from "./dom.js";
import { watch } from "./live.js";
import { picture, wantedSize } from "./pictures.js";

const RETRY_MS = 2000;

async function begin() {
  try {
    show(await getConfig());
    byId("key-section").hidden = true;
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) askForKey(error);
    else setTimeout(begin, RETRY_MS);
  }
}

function askForKey(error) {
  byId("key-problem").textContent = hasKey() ? error.message : "";
  byId("key-section").hidden = false;
  byId("key").focus();
}

function show(config) {
  const policy = config.policy_id === undefined ? config.a : config; // of two policies, which take the same
  const robot = policy.embodiment_details;
  byId("untrained").hidden = policy.trained;
  byId("simulation").hidden = !(policy.trained && robot.simulation);
  showRobot(robot);
  showForm(policy, robot);
  for (const section of document.querySelectorAll(".needs-config")) section.hidden = false;
}

function showRobot(robot) {
  byId("embodiment").textContent = `${robot.name}: ${robot.description} A chunk is run at ${number(robot.control_hz)} actions a second.`;
  byId("axes").replaceChildren(...robot.action_names.map((name, axis) => element("tr", {},
    element("th", { scope: "row" }, name),
    ...[robot.action_units[axis], robot.action_low[axis], robot.action_high[axis], robot.action_max_step[axis]]
      .map((cell) => element("td", {}, String(cell))))));
}

function showForm(policy, robot) {
  byId("instruction-field").hidden = policy.prompt === null;
  byId("cameras").replaceChildren(...policy.cameras.map(({ name }, index) => field(`camera-${index}`, name, { type: "file", accept: "image/*" })));
  byId("state").replaceChildren(...robot.state_names.map((name, index) => field(
    `state-${index}`, `${name} (${robot.state_units[index]})`,
    { type: "number", step: "any", required: "", value: robot.mean_state[index], autocomplete: "off" })));
  const form = byId("try-form");
  form.oninput = () => showCode(policy);
  form.onsubmit = (event) => {
    event.preventDefault();
    ask(policy, robot);
  };
  showCode(policy);
}

function field(id, label, attributes) {
  return element("div", {}, element("label", { for: id }, label), element("input", { id, ...attributes }));
}

function typed(policy) {
  const state = [...byId("state").querySelectorAll("input")].map((input) => input.valueAsNumber);
  return { instruction: policy.prompt === null ? "" : byId("instruction").value, state };
}

function showCode(policy) {
  const cameras = policy.cameras.map((camera) => camera.name);
  byId("python").textContent = pythonLines(typed(policy), cameras);
  byId("curl").textContent = curlLines(typed(policy), cameras);
}

async function ask(policy, robot) {
  const button = byId("try-form").querySelector("button");
  button.disabled = true;
  byId("result").className = "";
  try {
    const pictures = policy.cameras.map(async ({ name }, index) => [name, await picture(byId(`camera-${index}`).files[0], wantedSize(policy, name))]);
    showAnswer(await act({ ...typed(policy), images: Object.fromEntries(await Promise.all(pictures)) }), robot);
  } catch (error) {
    byId("result").className = "problem";
    byId("result").textContent = error instanceof Refusal ? `${error.code}: ${error.message}` : error.message;
  } finally {
    button.disabled = false;
  }
}

function showAnswer(answer, robot) {
  const seconds = number(answer.num_actions / robot.control_hz);
  const guard = answer.guard_clamped ? `the guard changed ${answer.guard_violations.length} values` : "the guard changed nothing";
  byId("result").textContent = `${answer.num_actions} steps, ${seconds} s at ${number(robot.control_hz)} Hz, from ${answer.model_version}${slotOf(answer)} in ${answer.latency_ms.toFixed(1)} ms; ${guard}.`;
  byId("chart").replaceChildren(...charts(answer, robot));
}

function slotOf(answer) {
  if (answer.policy_slot === undefined) return "";
  return ` (slot ${answer.policy_slot}${answer.routing_degraded ? ", which no episode named" : ""})`;
}

function copy(button) {
  const lines = byId(button.dataset.copies);
  getSelection().selectAllChildren(lines); // for who copies by hand, where the page is not allowed to
  navigator.clipboard?.writeText(lines.textContent).catch(() => {});
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
  byId("key").value = "";
  begin();
});
for (const button of document.querySelectorAll("button[data-copies]")) button.addEventListener("click", () => copy(button));
begin();
watch();
