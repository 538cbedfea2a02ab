// A chunk as one small plot per action axis.
import { element, number, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 80;
const MARGIN = 8;

export function charts(answer, embodiment) {
  return embodiment.action_names.map((_, axis) => chart(answer, embodiment, axis));
}

function chart(answer, embodiment, axis) {
  const values = answer.actions.map((step) => step[axis]);
  const changed = answer.guard_violations.filter((each) => each.axis === axis);
  const name = `${embodiment.action_names[axis]} (${embodiment.action_units[axis]})`;
  const least = Math.min(...values);
  const most = Math.max(...values);
  const range = `${number(least)} … ${number(most)}`;
  const drawn = svg("svg", {
    class: "axis", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${name}: ${values.length} steps from ${range}, ${changed.length} changed by the guard`,
  });
  const scale = scaleOf(least, most, values.length);
  for (const limit of [embodiment.action_low[axis], embodiment.action_high[axis]]) {
    const y = scale.y(limit);
    if (y >= 0 && y <= HEIGHT) drawn.append(svg("line", { class: "limit", x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
  for (const { step } of changed) {
    drawn.append(svg("line", { x1: scale.x(step), x2: scale.x(step), y1: HEIGHT - MARGIN, y2: HEIGHT }));
  }
  drawn.append(svg("polyline", { points: values.map((value, step) => `${scale.x(step)},${scale.y(value)}`).join(" ") }));
  return element("figure", {}, element("figcaption", {}, name, element("span", {}, range)), drawn);
}

function scaleOf(least, most, steps) {
  const span = most - least || 1;
  const middle = (least + most) / 2;
  return {
    x: (step) => (steps > 1 ? (step * WIDTH) / (steps - 1) : WIDTH / 2),
    y: (value) => HEIGHT / 2 - ((value - middle) / span) * (HEIGHT - 2 * MARGIN),
  };
}
