// Keys. Where no pointer hovers, as on a phone, they come with the first of them.
const ITEMS = ".session, .message[id], .event, .ask, .hit, .operation";
const marked = () => document.querySelector(":is(.session, .message, .event, .ask, .hit, .operation)[aria-current]");

function mark(item) {
  marked()?.removeAttribute("aria-current");
  item?.setAttribute("aria-current", "true");
  item?.scrollIntoView({ block: "nearest" });
  document.dispatchEvent(new Event("koda:marked"));
}
window.koda.mark = mark;

function nextItem(step) {
  const items = [...document.querySelectorAll(ITEMS)].filter((item) => item.offsetParent);
  const at = items.indexOf(marked());
  if (at >= 0) return items[Math.max(0, Math.min(items.length - 1, at + step))];
  const inSight = items.filter((item) => item.getBoundingClientRect().bottom > 100 && item.getBoundingClientRect().top < innerHeight - 40);
  return step > 0 ? inSight[0] : inSight.at(-1);
}

function openMarked() {
  const item = marked();
  const link = item?.querySelector(".title, .whose a, :scope > div > a");
  if (link) link.click();
  else toggleInside();
}

function toggleInside() {
  const item = marked();
  const closed = item?.matches("details") ? [item] : item?.querySelectorAll("details.tool, details.thought, :scope > details") ?? [];
  const open = [...closed].some((details) => !details.open);
  for (const details of closed) details.open = open;
}

// The request or the row that is marked, else the first that waits on a session's page. A key shows it first, and answers it then.
function onAsked(act) {
  const ask = document.querySelector(":is(.ask, .session)[aria-current]") ?? document.querySelector('.ask[data-state="needs"]');
  if (!ask) return;
  if (ask.matches("[aria-current]")) act(ask);
  else mark(ask);
}

const press = (choice) => () => onAsked((ask) => ask.querySelector(choice)?.click());
const CHOICES = '[name="choice"], [value^="continue"], [value="stop"]';
const pressNth = (at) => () => onAsked((ask) => ask.querySelectorAll(CHOICES)[at]?.click());

function toTab(step) {
  const tabs = [...document.querySelectorAll("#tabs a")];
  tabs[tabs.findIndex((tab) => tab.matches("[aria-current]")) + step]?.click();
}

// A button, a link or a field that names its own key; from a marked message a fork begins there.
function actOn(key) {
  const name = key === key.toLowerCase() ? key : `Shift+${key}`;
  const part = document.querySelector(`[aria-keyshortcuts="${CSS.escape(name)}"]`);
  if (!part) return false;
  const message = /^message-(\d+)$/.exec(marked()?.id ?? "");
  if (message && part.dataset.from) location.href = `${part.dataset.from}?at=${message[1]}`;
  else if (part.matches("textarea, input")) part.focus();
  else part.click();
  return true;
}

// Where the list begins elsewhere, its first block takes the place of what is here.
async function toFirst() {
  const older = document.querySelector("#older a");
  const first = older?.getAttribute("hx-get").replace(/before=\d+/, "after=0");
  if (first) await window.htmx.ajax("GET", first, { target: document.querySelector("[data-follow]"), swap: "innerHTML" });
  scrollTo(0, 0);
  if (first) document.dispatchEvent(new Event("koda:loaded"));
}

// The header stays in sight: what is older comes when it is asked for.
function toTop() {
  const older = document.getElementById("older");
  if (older) {
    const still = older.cloneNode(true);
    still.querySelector("a").setAttribute("hx-trigger", "click");
    older.replaceWith(still);
    window.htmx.process(still);
  }
  scrollTo(0, 0);
}

function toNewest() {
  const pill = document.getElementById("pill");   // knows whether the newest is in the page
  if (pill) pill.click();
  else scrollTo(0, document.body.scrollHeight);
}

const KEYS = {
  a: press('[value="approve"]'),
  d: press('[id^="deny-"]'),
  s: press('[id^="stop-"], [id^="halt-"]'),
  w: () => onAsked((ask) => ask.querySelector("[name=words]")?.focus()),
  x: () => marked()?.querySelector(".pick:enabled")?.click(),
  ...Object.fromEntries([..."123456789"].map((figure, at) => [figure, pressNth(at)])),
  "[": () => toTab(-1),
  "]": () => toTab(1),
  j: () => mark(nextItem(1)),
  k: () => mark(nextItem(-1)),
  Enter: openMarked,
  o: toggleInside,
  g: () => { toFirst(); leadsUntil = Date.now() + 1500; },
  Home: toTop,
  G: toNewest,
  u: () => { location.href = "/"; },
  n: () => leaf("next"),
  p: () => leaf("prev"),
  "?": () => document.getElementById("keys")?.showModal(),
  "/": () => (document.getElementById("q") ?? document.getElementById("search-all"))?.select(),
};
const leaf = (way) => document.querySelector(`main [rel=${way}]`)?.click();
let leadsUntil = 0;               // after g a letter leads to a page of the menu

function lead(key) {
  const link = Date.now() < leadsUntil && document.querySelector(`.top nav [data-key="${CSS.escape(key)}"]`);
  leadsUntil = 0;
  if (link) link.click();
  return Boolean(link);
}

export function begin(event) {
  const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea, dialog");
  if (event.key === "Escape") {
    if (typing?.type === "search") event.preventDefault();     // some browsers would empty it
    if (typing?.matches("input, select, textarea")) typing.blur();
    else mark(null);
    for (const details of document.querySelectorAll(".me[open], .rename[open]")) details.open = false;
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" && (!marked() || event.target.closest("a, button, summary, input"))) return;
  if (event.key.length === 1 && lead(event.key)) return event.preventDefault();
  if (actOn(event.key)) return event.preventDefault();
  const act = window.koda.keys[event.key] ?? KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}
