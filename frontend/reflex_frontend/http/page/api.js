// Talks to the server that this page came from. The key lives in this variable and nowhere else.
let key = null;

export function useKey(given) {
  key = given;
}

export function hasKey() {
  return key !== null;
}

export class Refusal extends Error {
  constructor(status, envelope) {
    super(envelope.message ?? `the server answered with status ${status}`);
    this.status = status;
    this.code = envelope.error ?? `http_${status}`;
  }
}

function headers(more = {}) {
  return key === null ? more : { ...more, Authorization: `Bearer ${key}` };
}

async function read(response, isAnswer) {
  const body = await response.json().catch(() => ({}));
  if (!isAnswer(response.status)) throw new Refusal(response.status, body);
  return body;
}

export async function getConfig() {
  return read(await fetch("/config", { headers: headers() }), (status) => status === 200);
}

export async function getHealth() {
  return read(await fetch("/health"), (status) => status === 200 || status === 503);
}

export async function getMetrics() {
  return (await fetch("/metrics")).text();
}

export async function act(observation) {
  const response = await fetch("/act", {
    method: "POST",
    headers: headers({ "Content-Type": "application/json", "X-Reflex-Deadline-Ms": "10000" }),
    body: JSON.stringify(observation),
  });
  return read(response, (status) => status === 200);
}
