// What every page does: ages tick, keys work, closed things open, failures are told.
const NARROW = "\u202f";
window.koda = { skew: 0, now: () => Date.now() + window.koda.skew, keys: {}, announce };

const rendered = document.querySelector("meta[name=koda-now]");
if (rendered) window.koda.skew = Math.max(-86_400_000, Math.min(86_400_000, rendered.content / 1000 - Date.now()));

// --- Ages: one timer for the page; it writes only what differs ----------------------------------------------

function spanWords(seconds) {
  const minutes = Math.floor(seconds / 60);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)}${NARROW}d`;
  if (seconds >= 3600) return `${Math.floor(minutes / 60)}${NARROW}h${NARROW}${two(minutes % 60)}${NARROW}m`;
  return minutes ? `${minutes}${NARROW}m${NARROW}${two(seconds % 60)}${NARROW}s` : `${seconds}${NARROW}s`;
}

function pastWords(seconds) {
  return seconds >= 60 && seconds < 3600 ? `${Math.floor(seconds / 60)}${NARROW}m ago` : `${spanWords(seconds)} ago`;
}

function tick() {
  if (document.hidden) return;
  const now = window.koda.now();
  for (const time of document.querySelectorAll("time[data-tick]")) {
    const seconds = Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000));
    const words = time.dataset.tick === "ago" ? pastWords(seconds) : spanWords(seconds);
    if (time.textContent !== words) time.textContent = words;
  }
  document.dispatchEvent(new Event("koda:tick"));
}
window.koda.span = spanWords;
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);

// --- What needs a person is counted in the menu, and announced ------------------------------------------------

const RECOUNT_EVERY = 15_000;
const waiting = () => Number(document.getElementById("inbox-count")?.dataset.count ?? 0);
let counted = waiting();
let countedAt = Date.now();

function announce(sentence) {
  const place = document.getElementById("announce");
  if (place) place.textContent = sentence;
}

function recount() {
  const link = document.getElementById("to-inbox");
  if (!link || document.querySelector("#wall, #asks") || Date.now() - countedAt < RECOUNT_EVERY) return;   // those are told
  countedAt = Date.now();
  window.htmx?.trigger(link, "koda:recount");
}
document.addEventListener("koda:tick", recount);
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "inbox-count" && event.target.id !== "to-inbox") return;
  if (waiting() > counted) announce(waiting() === 1 ? "One request waits for you" : `${waiting()} requests wait for you`);
  counted = waiting();
});

// --- Things that open ---------------------------------------------------------------------------------------

function fill(details) {
  const inside = details.querySelector(":scope > .inside");
  if (!inside || inside.dataset.filled) return;
  inside.dataset.filled = "yes";
  window.htmx?.trigger(inside, "fill");
}
window.koda.fill = fill;

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open) return;
  fill(details);
  const input = details.matches?.(".rename") && details.querySelector("input[name=title]");
  if (input) input.select();
}, true);

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".me[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("change", (event) => {
  const form = event.target.closest(".me form");
  if (form) form.requestSubmit();
});

// --- What comes later, with the first event that calls for it --------------------------------------------------

for (const { dataset } of document.querySelectorAll("template[data-when]")) {
  let module = null;
  const bring = async () => {
    if (dataset.style) dress(dataset.style);
    module = dataset.module ? await import(dataset.module) : {};
  };
  const pass = (event) => module ? module.begin?.(event) : bring().then(() => module.begin?.(event));
  for (const name of dataset.when.split(" ")) document.addEventListener(name, pass, true);
  if (dataset.media && matchMedia(dataset.media).matches) bring();
}

function dress(href) {
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
}

// --- Words to the reader ------------------------------------------------------------------------------------

function tell(words) {
  const toast = document.createElement("span");
  toast.className = "toast";
  toast.textContent = words;
  document.getElementById("status").append(toast);
  fade(toast);
}
const fade = (toast) => setTimeout(() => toast.remove(), 8000);
document.querySelectorAll(".toast").forEach(fade);
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  tell(status === 403 || status === 404 ? "That is not to be had any more. Load the page again." : `The server answered ${status}.`);
});
document.addEventListener("koda:tell", (event) => tell(event.detail.words));
document.addEventListener("koda:sent", (event) => event.target.reset());
document.addEventListener("htmx:sendError", () => tell("The server cannot be reached."));
