// One line over time, drawn into an SVG element; a label says in words what the line shows.

const WIDTH = 300;
const HEIGHT = 90;
const EDGE = 8;
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function number(value) {
  return value === null ? "\u2014" : value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}

export class Chart {
  constructor(parent, title, unit, isCare) {
    this.title = title;
    this.unit = unit;
    this.figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.textContent = title;
    this.latest = document.createElement("b");
    this.range = document.createElement("small");
    caption.append(name, this.range, this.latest);
    this.svg = element("svg", {
      class: isCare ? "chart care" : "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    });
    this.line = element("polyline", {});
    this.svg.append(this.line);
    this.figure.append(caption, this.svg);
    parent.append(this.figure);
  }

  // `points` are [milliseconds, value], oldest first; a value of null is a gap that the line spans.
  show(points) {
    const known = points.filter(([, value]) => value !== null);
    const values = known.map(([, value]) => value);
    const last = values.length ? values[values.length - 1] : null;
    this.latest.textContent = `${number(last)} ${this.unit}`.trim();
    const minutes = known.length ? Math.round((known[known.length - 1][0] - known[0][0]) / 60000) : 0;
    this.range.textContent = values.length ? `${minutes || "under 1"} min, max ${number(Math.max(...values))}` : "";
    const high = Math.max(...values, 0) || 1;
    const from = known.length ? known[0][0] : 0;
    const span = known.length ? known[known.length - 1][0] - from || 1 : 1;
    const placed = known.map(([at, value]) => [
      EDGE + ((WIDTH - 2 * EDGE) * (at - from)) / span, HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * value) / high,
    ]);
    this.line.setAttribute("points", placed.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
    const words = values.length
      ? `${number(last)} ${this.unit} now, at most ${number(Math.max(...values))}, over ${values.length} heartbeats`
      : "nothing yet";
    this.svg.setAttribute("aria-label", `${this.title}: ${words}`);
  }
}
