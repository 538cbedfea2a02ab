// A page that changes while somebody looks at it: it is asked for again, and its parts that differ are put in place.

const link = document.querySelector("[data-follow]");
let isAsking = false;
let isOver = false;

function scrolledToEnd(part) {
  return part.scrollTop + part.clientHeight >= part.scrollHeight - 4;
}

function put(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const wasAtEnd = scrolledToEnd(part);
  const opened = [...part.querySelectorAll("details[open]")].map((each) => each.id);
  const focus = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  part.replaceChildren(...fresh.childNodes);
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  if (focus !== null) part.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus();
  if (wasAtEnd) part.scrollTop = part.scrollHeight;
}

function show(page) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh !== null) put(part, fresh);
  }
  isOver = page.querySelector("[data-follow]") === null;
  link.textContent = isOver ? "It has ended." : `Live. As of ${new Date().toISOString().slice(11, 19)} UTC.`;
}

async function ask() {
  if (isAsking || isOver || document.hidden) return;
  isAsking = true;
  try {
    const answer = await fetch(location.pathname, { redirect: "manual" });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else link.textContent = "Not live: reload the page to see why.";
  } catch {
    link.textContent = "Not live: the connection was lost, and is tried again.";
  }
  isAsking = false;
  if (isOver) {
    clearInterval(asking);
    stream?.close();
  }
}

const asking = setInterval(ask, Number(link.dataset.follow) * 1000);
const stream = link.dataset.events === undefined ? null : new EventSource("/live");
for (const kind of ["training_run", "dataset"]) stream?.addEventListener(kind, ask);
document.addEventListener("visibilitychange", ask);
document.querySelectorAll("[data-part='log']").forEach((part) => {
  part.scrollTop = part.scrollHeight;
});
link.textContent = "Live.";
