// One axis as a small plot: seconds before and after now from left to right, its range from bottom to top.
const PAST_S = 8, FUTURE_S = 2, WIDTH = 300, HEIGHT = 100, MARGIN = 0.08;
const SVG = "http://www.w3.org/2000/svg";

function part(name, kind) {
  const made = document.createElementNS(SVG, name);
  if (kind) made.setAttribute("class", kind);
  return made;
}

export function makePlot(axis) {
  const figure = document.createElement("figure"), svg = part("svg"), caption = document.createElement("figcaption");
  const label = document.createElement("b"), value = document.createElement("span");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const lines = Object.fromEntries(["measured", "command", "planned"].map((kind) => [kind, part("polyline", kind)]));
  const limits = [part("line", "limit"), part("line", "limit")], now = part("line");
  svg.append(now, ...limits, ...Object.values(lines));
  label.textContent = axis.name;
  caption.append(label, value);
  figure.append(svg, caption);
  return { figure, svg, value, lines, limits, now };
}

export function drawPlot(plot, axis) {
  const shown = [...axis.measured, ...axis.command, ...axis.chunk].map((point) => point[1]).filter(Number.isFinite);
  const low = Math.min(axis.low, ...shown), high = Math.max(axis.high, ...shown), room = (high - low) * MARGIN || 1;
  const x = (at) => ((at + PAST_S) / (PAST_S + FUTURE_S)) * WIDTH;
  const y = (at) => HEIGHT - ((at - low + room) / (high - low + 2 * room)) * HEIGHT;
  const along = (points) => points.filter((point) => point.every(Number.isFinite) && point[0] >= -PAST_S && point[0] <= FUTURE_S)
    .map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join(" ");
  plot.lines.measured.setAttribute("points", along(axis.measured));
  plot.lines.command.setAttribute("points", along(axis.command));
  plot.lines.planned.setAttribute("points", along(axis.chunk));
  [axis.low, axis.high].forEach((limit, at) => place(plot.limits[at], 0, y(limit), WIDTH, y(limit)));
  place(plot.now, x(0), 0, x(0), HEIGHT);
  const last = axis.measured.at(-1)?.[1], told = axis.command.at(-1)?.[1];
  plot.value.textContent = [last ?? "?", told === undefined ? "" : `→ ${told}`, axis.unit].join(" ");
  plot.svg.setAttribute("aria-label", `${axis.name}: measured ${last ?? "unknown"}, commanded ${told ?? "nothing"}, ${axis.unit}; from ${axis.low} to ${axis.high}`);
}

function place(line, x1, y1, x2, y2) {
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
}
