// The inbox: cards stay where they are when they are settled, and what happens to them is said.
const SETTLED_KEPT = 20;          // what a page shows that stays open all day
const { koda } = window;
const asks = document.getElementById("asks");
const open = () => [...asks.querySelectorAll('.ask[data-state="needs"]')];
let before = new Map();
let focused = null;               // the card, and which of its controls, that held the focus

document.getElementById("pick-all")?.addEventListener("change", (event) => {
  for (const box of asks.querySelectorAll(".pick")) box.checked = event.target.checked;
});

document.addEventListener("htmx:wsBeforeMessage", (event) => {
  before = new Map([...asks.querySelectorAll(".ask")].map((card) => [card.id, card.dataset.state]));
  const card = document.activeElement.closest?.(".ask");
  focused = card && { card, control: document.activeElement.id.replace(/-\d+$/, "") };
  for (const [, pk] of event.detail.message.matchAll(/id="session-(\d+)" hx-swap-oob="delete"/g)) {
    for (const gone of asks.querySelectorAll(`.ask[data-session="${pk}"]`)) gone.remove();
  }
});

document.addEventListener("htmx:wsAfterMessage", () => {
  for (const card of asks.querySelectorAll(".ask")) {
    const was = before.get(card.id);
    const words = card.querySelector("header b")?.textContent;
    if (!was && card.dataset.state === "needs") koda.announce(`${card.querySelector(".whose a")?.textContent} waits: ${words}`);
    if (was === "needs" && card.dataset.state !== "needs") koda.announce(`${words}: ${card.querySelector("header .n")?.textContent}`);
  }
  const waiting = Number(document.getElementById("inbox-count")?.dataset.count ?? 0);
  const title = waiting ? `${waiting} wait${waiting === 1 ? "s" : ""} · Inbox · Koda Web` : "Inbox · Koda Web";
  if (document.title !== title) document.title = title;
  clearAway();
  if (focused && (!focused.card.isConnected || (focused.card.dataset.state !== "needs" && !focused.card.contains(document.activeElement)))) passFocus();
});

// Of what was settled the oldest go, but nothing that is held, and nothing in sight of somebody who works here.
function clearAway() {
  const settled = [...asks.querySelectorAll('.ask[data-state="resting"]')];
  const isHeld = (card) => card.matches(":hover, :focus-within, [aria-current]");
  const isSeen = ({ top, bottom }) => document.hasFocus() && bottom > 0 && top < innerHeight;
  for (const card of settled.slice(0, -SETTLED_KEPT)) {
    if (!isHeld(card) && !isSeen(card.getBoundingClientRect())) card.remove();
  }
}

// A card that was settled gives the focus to the same control of the next one that waits.
function passFocus() {
  const { card, control } = focused;
  const next = card.isConnected
    ? open().find((other) => card.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING) ?? card
    : open()[0];
  // Never the card itself: what is inside the active element is not morphed.
  const place = next?.querySelector(`[id^="${control || "none"}-"]`) ?? next?.querySelector(".whose a") ?? document.getElementById("main");
  place.focus({ preventScroll: true });
}
