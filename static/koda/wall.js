// The rows of the wall: each stands where its band and its rank put it, but none moves under a hand.
const RECENT_KEPT = 60;
const UPPER_KEPT = 100;           // of each other band; those behind are counted unless they are many, and the page stays as long as it was
const later = new Set();          // rows that wait until the reader lets go
let before = new Map();

const bandOf = (row) => row.closest(".band")?.dataset.band;
const isHeld = (row) => row.matches(":hover, [aria-current]") || row.contains(document.activeElement);
const words = (row) => row.querySelector(".now")?.textContent.replace(/, [\d\s\u202fhmsd]+$/, "");

document.addEventListener("htmx:wsBeforeMessage", () => {
  before = new Map([...document.querySelectorAll(".session")].map((row) => [row.id, { band: bandOf(row), words: words(row), rank: row.dataset.rank, html: row }]));
});

document.addEventListener("htmx:wsAfterMessage", (event) => {
  const touched = new Set([...event.detail.message.matchAll(/id="(session-\d+)"/g)].map((found) => found[1]));
  if (!touched.size && !event.detail.message.includes('id="counters"')) return;
  for (const id of touched) {
    const row = document.getElementById(id);
    if (!row) continue;
    if (!before.has(id)) arrive(row.dataset.band);
    settle(row);
  }
  showChanges(touched);
  count();
});

function arrive(band) {           // where some are left out, one that comes was most likely among them
  const figure = band === "recent" ? null : document.querySelector(`#${band} [data-count]`);
  if (figure) figure.dataset.count = Math.max(0, Number(figure.dataset.count) - 1);
}

function settle(row) {
  const list = document.querySelector(`#${row.dataset.band} > ol`);
  if (!list) return;
  const follower = [...list.children].find((other) => other !== row && Number(other.dataset.rank) > Number(row.dataset.rank)) ?? null;
  const isThere = row.parentElement === list && row.nextElementSibling === follower;
  if (isThere) return void later.delete(row);
  if (isHeld(row) && before.has(row.id)) return void later.add(row);
  later.delete(row);
  if (list.moveBefore) list.moveBefore(row, follower);
  else list.insertBefore(row, follower);
}

function letGo() {
  if (!later.size) return;
  for (const row of [...later]) {
    if (!row.isConnected) later.delete(row);
    else if (!isHeld(row)) settle(row);
  }
  count();
}
for (const name of ["pointerout", "focusout", "koda:marked"]) document.addEventListener(name, () => setTimeout(letGo));

function showChanges(touched) {
  for (const id of touched) {
    const row = document.getElementById(id);
    if (!row) continue;
    const was = before.get(id);
    const isNew = !was || was.band !== row.dataset.band;
    if (isNew) flash(row, "changed");
    else if (was.words !== words(row)) flash(row.querySelector(".now"), "changed");
    flash(row.querySelector("svg.icon"), "beat");
    if (isNew && row.dataset.band === "needs") window.koda.announce(`${row.querySelector(".title")?.textContent} waits for you`);
  }
}

function write(part, number) {
  const words = number.toLocaleString("en");
  if (part && part.textContent !== words) part.textContent = words;
}

function flash(part, name) {
  if (!part) return;
  part.classList.remove(name);
  requestAnimationFrame(() => part.classList.add(name));
  part.addEventListener("animationend", () => part.classList.remove(name), { once: true });
}

function count() {
  // Over all sessions the counters above know how many there are; under a filter only what came and went does.
  const counted = document.querySelector("#wall[data-filtered]") ? {} : document.getElementById("counters")?.dataset ?? {};
  for (const band of document.querySelectorAll(".band")) {
    const figure = band.querySelector("[data-count]");
    const rows = [...band.querySelectorAll(":scope > ol > .session")];
    const tooMany = rows.slice(band.id === "recent" ? RECENT_KEPT : UPPER_KEPT).filter((row) => !isHeld(row));
    tooMany.forEach((row) => row.remove());
    if (!figure) continue;
    const shown = rows.length - tooMany.length;
    const left = band.id in counted ? Math.max(0, Number(counted[band.id]) - shown) : Number(figure.dataset.count) + tooMany.length;
    figure.dataset.count = left;
    write(figure, shown + left);
    write(band.querySelector("[data-left]"), left);
  }
  const needs = document.querySelector('#counters [data-state="needs"]')?.textContent.trim();
  document.title = needs ? `${needs} · Koda Web` : "Koda Web";
}
