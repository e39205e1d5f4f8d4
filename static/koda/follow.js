// A long list that grows at its end: follow it while the reader is there, keep their place when they are not.
const NEAR = 40;                  // pixels from the end that count as the end
const list = document.querySelector("[data-follow]");
const pill = document.getElementById("pill");
const { koda, htmx } = window;
const root = document.documentElement;
let missed = 0;
let wasAtEnd = true;

const items = () => list.querySelectorAll(":scope > :is(.message, .event)");
const behind = () => document.getElementById("newer");  // the end is elsewhere
const atNewest = () => !behind() && root.scrollHeight - (scrollY + innerHeight) <= NEAR;
const toEnd = () => scrollTo(0, root.scrollHeight);
const idOf = (item) => item.dataset.seq ?? item.id.replace(/\D+/, "");

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
if (list) begin();

function begin() {
  history.scrollRestoration = "manual";
  times();
  if (!location.hash && !/[?&](before|after|at)=/.test(location.search)) toEnd();
  document.addEventListener("htmx:wsBeforeMessage", () => { wasAtEnd = atNewest(); });
  document.addEventListener("htmx:wsAfterMessage", afterMessage);
  document.addEventListener("htmx:beforeSwap", keepPlace);
  document.addEventListener("koda:loaded", times);
  document.addEventListener("scroll", () => { if (atNewest()) tellMissed(0); }, { passive: true });
  pill.addEventListener("click", (event) => {
    if (behind()) return;   // load it
    event.preventDefault();
    toEnd();
    tellMissed(0);
  });
}

function tellMissed(count) {
  missed = count;
  pill.hidden = !count;
  if (count) pill.textContent = `${count} new ↓`;
}

// Called before a batch is swapped in. While its neighbours are not in the page, it stays out, too.
koda.mayAppend = (target, children) => {
  if (target !== list) return true;
  if (!wasAtEnd) tellMissed(missed + children.length);
  if (behind()) return false;
  if (wasAtEnd || items().length + children.length <= Number(list.dataset.limit)) return true;
  list.append(sentinel("newer", [...items()].at(-1)));
  return false;
};

function afterMessage() {
  times();
  if (!wasAtEnd) return;
  trim("older");
  toEnd();
}

// --- Loading both ways

function keepPlace(event) {
  const target = event.detail.target;
  if (target?.id !== "older" && target?.id !== "newer") return;
  const anchor = [...items()].find((item) => item.getBoundingClientRect().bottom > 100);
  const top = anchor?.getBoundingClientRect().top;
  const isHeld = holds(target);
  root.style.overflowAnchor = "none";
  requestAnimationFrame(() => {
    trim(target.id === "older" ? "newer" : "older");
    document.dispatchEvent(new Event("koda:loaded"));
    if (anchor?.isConnected) scrollBy(0, anchor.getBoundingClientRect().top - top);
    if (isHeld) hold(document.getElementById(target.id) ?? anchor);
    requestAnimationFrame(() => { root.style.overflowAnchor = ""; });
  });
}

function trim(id) {
  const all = [...items()];
  const extra = all.length - Number(list.dataset.limit);
  if (extra <= 0) return;
  const isOlder = id === "older";
  const gone = [...list.querySelectorAll(`#${id}`), ...(isOlder ? all.slice(0, extra) : all.slice(-extra))];
  const isHeld = gone.some(holds);
  gone.forEach((item) => item.remove());
  for (const alone of list.querySelectorAll(":scope > :is(.day, .seam)")) {
    if (!alone.nextElementSibling || alone.nextElementSibling.matches(".day, .more")) alone.remove();
  }
  const place = sentinel(id, isOlder ? all[extra] : all.at(-extra - 1));
  list[isOlder ? "prepend" : "append"](place);
  if (isHeld) hold(place);
}

const holds = (place) => place.contains(document.activeElement);
const hold = (place) => place?.querySelector("a, summary")?.focus({ preventScroll: true });

function sentinel(id, item) {
  const place = document.createElement(list.matches("ol") ? "li" : "p");
  const link = document.createElement("a");
  const full = new URLSearchParams(location.search);
  for (const name of ["before", "after", "at"]) full.delete(name);
  full.set(id === "older" ? "before" : "after", idOf(item));
  place.id = id;
  place.className = "more";
  link.href = `?${full}`;
  link.textContent = id === "older" ? "Older" : "Newer";
  const attributes = { get: `${list.dataset.more}?${full}`, trigger: "intersect once, click", target: `#${id}`, swap: "outerHTML" };
  for (const [name, value] of Object.entries(attributes)) link.setAttribute(`hx-${name}`, value);
  place.append(link);
  htmx.process(place);
  return place;
}

// --- Times: since the prompt, and a line where a new day begins

function times() {
  for (const line of list.querySelectorAll(":scope > .day")) {      // where two blocks of one day have met
    const before = line.previousElementSibling;
    if (before?.matches(".message") && before.dataset.day === line.nextElementSibling?.dataset.day) line.remove();
  }
  let prompt = null;
  let before = null;
  for (const item of list.querySelectorAll(":scope > .message")) {
    const time = item.querySelector(":scope > .when > time");
    const at = time ? Date.parse(time.dateTime) : NaN;
    if (item.dataset.role === "user") prompt = at;
    else if (prompt !== null && at >= prompt && at - prompt < 86_400_000) {
      const words = `+${koda.span(Math.round((at - prompt) / 1000))}`;
      if (time.textContent !== words) time.textContent = words;
    }
    if (before && before.dataset.day !== item.dataset.day && before.nextElementSibling === item) item.before(dayLine(item.dataset.day));
    before = item;
  }
}

function dayLine(day) {
  const line = document.createElement("h2");
  line.className = "day";
  line.dataset.day = day;
  line.textContent = new Date(day).toUTCString().split(/,? 0?/, 3).join(" ");
  return line;
}
