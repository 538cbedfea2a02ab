// The heartbeats of a session as charts: what each brought since the one before it.

import { Chart } from "./chart.js";

const KEPT = 180;

export class Heartbeats {
  constructor(parent) {
    this.all = [...document.querySelectorAll("[data-heartbeat]")].map((row) => JSON.parse(row.dataset.heartbeat));
    this.rate = new Chart(parent, "Steps per second", "/s", false);
    this.latency = new Chart(parent, "Latency", "ms", false);
    this.refused = new Chart(parent, "Violations and refusals", "new", true);
    parent.hidden = false;
    this.show();
  }

  add(heartbeat) {
    if (this.all.some((each) => each.at === heartbeat.at)) return;
    this.all = [...this.all, heartbeat].slice(-KEPT);
    this.show();
  }

  show() {
    this.latency.show(this.all.map((each) => [Date.parse(each.at), each.latencyMs]));
    this.rate.show(this.between((now, then, seconds) => (now.steps - then.steps) / seconds));
    const refusals = (each) => each.guardViolations + each.refusedChunks;
    this.refused.show(this.between((now, then) => refusals(now) - refusals(then)));
  }

  between(measure) {
    return this.all.slice(1).map((now, index) => {
      const then = this.all[index];
      const seconds = Math.max((Date.parse(now.at) - Date.parse(then.at)) / 1000, 0.001);
      return [Date.parse(now.at), measure(now, then, seconds)];
    });
  }
}
