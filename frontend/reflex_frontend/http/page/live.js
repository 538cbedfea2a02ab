// Looks at /health and /metrics every two seconds while the page is visible.
import { getHealth, getMetrics } from "./api.js";
import { byId, facts } from "./dom.js";
import { between, look } from "./metrics.js";

const EVERY_MS = 2000;
const KEPT = 6;
const looks = [];

export async function watch() {
  if (!document.hidden) await tick();
  setTimeout(watch, EVERY_MS);
}

async function tick() {
  try {
    const [health, metrics] = await Promise.all([getHealth(), getMetrics()]);
    showHealth(health);
    looks.push(look(metrics, performance.now()));
    if (looks.length > KEPT) looks.shift();
    showLive(between(looks[0], looks.at(-1)), looks.at(-1));
  } catch {
    showStatus("gone", "does not answer");
  }
}

function showHealth(health) {
  showStatus(health.status, health.status);
  const slots = Object.entries(health.slots ?? {}).map(([name, slot]) => [`Slot ${name}`, `${slot.model_version}: ${slot.status}`]);
  facts(byId("server"), [
    ["Policy", health.model_version],
    ["Not ready", health.reason],
    ...slots,
    ["Shadow", health.shadow && `${health.shadow.model_version}: ${health.shadow.status}`],
    ["Recording", health.recording],
    ["Runs on", health.inference_mode],
    ["Robot", health.robot_id],
    ["Up for", duration(health.uptime_seconds ?? 0)],
  ]);
}

function showStatus(kind, text) {
  const badge = byId("status");
  badge.className = `badge ${kind}`;
  if (badge.textContent !== text) badge.textContent = text;
}

function showLive(recent, last) {
  const span = Math.round(recent.seconds);
  facts(byId("live"), [
    ["Answers", `${last.answered} since the start` + (span > 0 ? `, ${recent.answered} in the last ${span} s` : "")],
    ["Latency", recent.meanMs === null ? "nobody asked lately" : `mean ${recent.meanMs.toFixed(1)} ms, p99 ${atMost(recent.p99Ms)}`],
    ["Errors", `${last.failed} since the start` + (span > 0 ? `, ${recent.failed} in the last ${span} s` : "")],
    ["Guard", `changed ${last.clamped} of ${last.answered} answers`],
  ]);
}

function atMost(milliseconds) {
  return Number.isFinite(milliseconds) ? `at most ${milliseconds.toFixed(0)} ms` : "beyond every bucket";
}

function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
