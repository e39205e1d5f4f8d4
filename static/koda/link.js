// The socket: where it stands in the log, how fresh the page is, when it comes back.
const HANDSHAKE_WITHIN = 10_000;
const BEHIND_AFTER = 30_000;      // a ping comes at least every 20 s
const HUNG_AFTER = 75_000;
const LONGEST_WAIT = 30_000;
const NEVER = 2 ** 31 - 1;
const OVER = { 4400: "this page asks for what cannot be", 4401: "signed out", 4403: "not shown to you any more", 4404: "this session is gone" };

const badge = document.getElementById("fresh");
const { htmx, koda, Idiomorph } = window;
let wrapper = null;               // of the extension: reconnect, sendImmediately
let socket = null;
let heardAt = 0;                  // by this machine's clock; 0 before the first frame
let serverTime = null;            // by the server's clock, in microseconds
let failures = 0;
let comesBackAt = 0;
let timer = 0;
let isOver = false;

// The extension's own way of coming back knows neither our codes nor the reader's button.
htmx.config.wsReconnectDelay = () => NEVER;
htmx.createWebSocket = (url) => {
  const place = new URL(url);
  const cursor = document.getElementById("cursor")?.dataset.seq;
  if (!place.searchParams.has("since")) place.searchParams.set("after", cursor ?? "0");
  if (serverTime) place.searchParams.set("since", serverTime);
  clearTimeout(timer);            // whoever asks for this one makes the waiting needless
  comesBackAt = 0;
  socket = new WebSocket(place);
  const opening = socket;
  const patience = setTimeout(() => opening.readyState === WebSocket.CONNECTING && opening.close(), HANDSHAKE_WITHIN);
  for (const end of ["open", "close"]) opening.addEventListener(end, () => clearTimeout(patience));
  return opening;
};

// --- Freshness ----------------------------------------------------------------------------------------------

function show(state, words, figure = "", canHurry = false) {
  if (!badge) return;
  const [icon, text, number, button] = badge.children;
  const symbol = { live: "#i-live", behind: "#i-quiet", offline: "#i-lost" }[state] ?? "#i-rest";
  badge.hidden = false;
  badge.dataset.state = document.documentElement.dataset.link = state;
  const use = icon.firstElementChild;
  if (use.getAttribute("href") !== symbol) use.setAttribute("href", symbol);
  if (text.textContent !== words) text.textContent = words;
  if (number.textContent !== figure) number.textContent = figure;
  number.hidden = !figure;
  button.hidden = !canHurry;
}

const seconds = (ms) => `${ms < 10_000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)}\u202fs`;

function showFreshness() {
  if (isOver || !badge) return;
  const now = Date.now();
  if (comesBackAt) return show("offline", "offline, again in", `${Math.max(0, Math.ceil((comesBackAt - now) / 1000))}\u202fs`, true);
  if (!heardAt || socket?.readyState !== WebSocket.OPEN) return show("resting", "connecting");
  const age = now - heardAt;
  if (age > HUNG_AFTER) socket.close();
  show(age > BEHIND_AFTER ? "behind" : "live", age > BEHIND_AFTER ? "behind" : "live", seconds(age));
}
document.addEventListener("koda:tick", showFreshness);

function heard() {
  heardAt = Date.now();
  failures = comesBackAt = 0;
}

// --- Coming back --------------------------------------------------------------------------------------------

function comeBackLater() {
  const wait = Math.min(LONGEST_WAIT, 1000 * 2 ** failures) * (0.5 + Math.random() / 2);
  failures += 1;
  comesBackAt = Date.now() + wait;
  clearTimeout(timer);
  timer = setTimeout(comeBack, wait);
  showFreshness();
}

function comeBack() {
  clearTimeout(timer);
  if (isOver || !wrapper || !comesBackAt) return;
  heardAt = 0;
  wrapper.reconnect();
  showFreshness();
}

badge?.querySelector("button").addEventListener("click", comeBack);
addEventListener("online", comeBack);
addEventListener("pageshow", (event) => event.persisted && comeBack());
document.addEventListener("visibilitychange", () => !document.hidden && comeBack());

document.addEventListener("htmx:wsOpen", (event) => { wrapper = event.detail.socketWrapper; });
document.addEventListener("htmx:wsClose", (event) => {
  wrapper = event.detail.socketWrapper ?? wrapper;
  const { code } = event.detail.event;
  if (event.detail.event.target !== socket) return;         // of an earlier one
  if (!(code in OVER)) return comeBackLater();
  isOver = true;
  show("offline", OVER[code]);
});

// --- Frames -------------------------------------------------------------------------------------------------

document.addEventListener("htmx:wsBeforeMessage", (event) => {
  heard();
  const text = event.detail.message;
  if (!text.startsWith("{")) return;
  event.preventDefault();
  const frame = JSON.parse(text);
  if (!frame.at) return showFreshness();
  const at = Date.parse(frame.at);
  koda.skew = at - Date.now();
  serverTime = Math.round(at * 1000);
  showFreshness();
});

document.addEventListener("htmx:wsAfterMessage", (event) => {
  const cursor = document.getElementById("cursor");
  if (cursor) event.detail.socketWrapper.sendImmediately(JSON.stringify({ ack: Number(cursor.dataset.seq) }));
  for (const details of document.querySelectorAll("details[open]")) koda.fill(details);
  showFreshness();
});

// A batch is fitted to the page before it is swapped in: what has no place here is passed over, what is here already
// is not repeated, and a row that is new gets an empty place for the swap to fill.
htmx.defineExtension("koda", {
  transformResponse(text, xhr) {
    if (xhr) return text;
    const batch = document.createElement("template");
    batch.innerHTML = text;
    for (const part of [...batch.content.children]) fit(part);
    return batch.innerHTML;
  },
});

function fit(part) {
  if (part.dataset.purged) return takeOut(part);
  if (part.dataset.emptied) return empty(part);
  const how = part.getAttribute("hx-swap-oob") ?? "true";
  if (how.startsWith("beforeend:")) return fitAppended(part, document.querySelector(how.slice(10)));
  if (document.getElementById(part.id)) return;
  const list = how !== "delete" && listFor(part);
  if (!list) return part.remove();
  const place = document.createElement(part.localName);
  place.id = part.id;
  list.append(place);
}

// Where a new part belongs: a row in its band, a request that waits at the end of the inbox.
function listFor(part) {
  if (part.matches(".session")) return document.querySelector(`#${part.dataset.band} > ol`);
  if (part.matches('.ask.listed[data-state="needs"]')) return document.querySelector("#asks[data-open-end]");
  return null;
}

// A purge names the first and the last of what it destroyed, not each: what stands between them goes.
function takeOut(part) {
  const spans = part.dataset.spans.split(" ").filter(Boolean).map((span) => span.split("-").map(Number));
  for (const item of document.querySelectorAll(`.${part.dataset.purged}:not([data-from="server"])`)) {
    const id = Number(item.id.replace(/\D+/, ""));
    if (spans.some(([first, last]) => first <= id && id <= last)) item.remove();
  }
  part.remove();
}

function empty(part) {
  document.getElementById(part.dataset.emptied)?.replaceChildren();
  part.remove();
}

function fitAppended(part, list) {
  if (!list) return part.remove();
  for (const child of [...part.children]) if (child.id && document.getElementById(child.id)) child.remove();
  if (koda.mayAppend && !koda.mayAppend(list, part.children)) part.replaceChildren();
}

// The extension's own word takes every swap for one that keeps its wrapper: what is appended came inside a <div>.
const MORPHS = new Set(["morph", "morph:outerHTML"]);
htmx.defineExtension("morph", {
  isInlineSwap: (style) => MORPHS.has(style),
  handleSwap: (style, target, fragment) =>
    MORPHS.has(style) && Idiomorph.morph(target, fragment.children, { morphStyle: "outerHTML" }),
});

// Morphing keeps what the reader has opened, marked and typed; other words with the focus change.
Object.defineProperty(Idiomorph.defaults, "ignoreActiveValue", {
  enumerable: true,
  get: () => Boolean(document.activeElement?.matches("input, textarea, select")),
});
Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => !(node.matches?.(".session > .pick"));
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !(name === "aria-current" || name === "checked" || (name === "open" && node.matches("details")));
