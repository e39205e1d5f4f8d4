// What follows from what has just come: the title where it stands a second time, the verdict in sight when its header
// is not, figures asked for again, a new request said once, and the mark "done but unseen" cleared.
const { koda, htmx } = window;
const PAUSE = 3000;
const said = new Set();
let isDue = false;

export function begin(event) {
  if (event.type !== "htmx:wsAfterMessage") return;
  callIt(document.getElementById("title"));
  showVerdict();
  sayRequests();
  if (!isDue) setTimeout(askAgain, PAUSE);
  isDue = true;
}

function callIt({ textContent: title, dataset }) {
  const called = document.getElementById("called");
  if (called.textContent === title) return;
  called.textContent = title;
  document.title = `${title} · Koda Web`;
  const input = document.querySelector(".rename input[name=title]");
  if (input) Object.assign(input, { placeholder: title, defaultValue: dataset.title });   // what is being typed stays
}

// --- The verdict ----------------------------------------------------------------------------------------------

const mini = document.getElementById("mini");

function showVerdict() {
  const verdict = document.getElementById("verdict");
  if (mini.hidden || !verdict || mini.matches(":focus-within")) return;
  mini.dataset.state = verdict.dataset.state;
  mini.replaceChildren(...verdict.cloneNode(true).querySelectorAll(":scope > :not(.dim, b, i)"));
}

new IntersectionObserver(([seen]) => {
  mini.hidden = seen.isIntersecting;
  showVerdict();
}, { rootMargin: "-50px 0px 0px" }).observe(document.querySelector(".summary > div"));

// --- Requests, and figures ------------------------------------------------------------------------------------

function sayRequests() {
  for (const ask of document.querySelectorAll('#now .ask[data-state="needs"]')) {
    if (said.has(ask.id)) continue;
    said.add(ask.id);
    koda.announce(`Waits for you: ${ask.querySelector("header b").textContent}`);
  }
}

function askAgain() {
  if (document.hidden) return;
  isDue = false;
  htmx.trigger(document.body, "koda:changed");
}
document.addEventListener("visibilitychange", () => isDue && askAgain());

// --- Done before the eyes of the owner ------------------------------------------------------------------------

document.addEventListener("koda:tick", () => {             // comes only while the page can be seen
  const mark = document.getElementById("just-done");
  if (!mark || mark.dataset.sent) return;
  mark.dataset.sent = "yes";
  const headers = { "X-CSRFToken": JSON.parse(document.body.getAttribute("hx-headers"))["x-csrftoken"] };
  fetch(mark.dataset.seen, { method: "POST", headers }).catch(() => mark.removeAttribute("data-sent"));
});
