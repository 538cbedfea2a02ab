// The Prometheus text of /metrics, and what happened between two looks at it.
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = LINE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

export function look(text, atMs) {
  const samples = parse(text);
  const sum = (name, wanted = () => true) =>
    samples.filter((each) => each.name === name && wanted(each.labels)).reduce((total, each) => total + each.value, 0);
  const buckets = new Map();
  for (const each of samples) {
    if (each.name !== "reflex_act_latency_seconds_bucket") continue;
    const limit = each.labels.le === "+Inf" ? Infinity : Number(each.labels.le);
    buckets.set(limit, (buckets.get(limit) ?? 0) + each.value);
  }
  return {
    atMs,
    answered: sum("reflex_act_latency_seconds_count"),
    latency: sum("reflex_act_latency_seconds_sum"),
    failed: sum("reflex_act_total", (labels) => labels.status !== "200"),
    clamped: sum("reflex_guard_clamped_total"),
    buckets,
  };
}

export function between(before, now) {
  const answered = now.answered - before.answered;
  const counts = [...now.buckets].sort(([a], [b]) => a - b)
    .map(([limit, count]) => [limit, count - (before.buckets.get(limit) ?? 0)]);
  return {
    seconds: (now.atMs - before.atMs) / 1000,
    answered,
    failed: now.failed - before.failed,
    clamped: now.clamped - before.clamped,
    meanMs: answered > 0 ? (1000 * (now.latency - before.latency)) / answered : null,
    p99Ms: answered > 0 ? quantileMs(counts, 0.99 * answered) : null,
  };
}

// The upper end of the bucket in which it lies: what it is at most.
function quantileMs(counts, rank) {
  const found = counts.find(([, count]) => count >= rank);
  return found ? 1000 * found[0] : null;
}
