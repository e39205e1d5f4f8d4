// Lists of sessions: the address keeps only the filters that are set, and the focus outlives a row.
const { koda } = window;

document.addEventListener("htmx:configRequest", (event) => {
  if (event.target.id !== "filters") return;
  const { parameters } = event.detail;
  for (const [name, value] of Object.entries(parameters)) if (value === "") delete parameters[name];
});
document.addEventListener("change", (event) => {
  if (event.target.matches("#filters select")) event.target.toggleAttribute("data-set", Boolean(event.target.value));
});

// Whoever answers with the focus on a button goes on at the same button of the next row; Enter that is held answers once.
let answered = null;
const settled = new Set();          // their buttons stay until the row is told anew
document.addEventListener("htmx:beforeRequest", (event) => {
  const button = document.activeElement;
  const row = button.closest(".session");
  const form = event.target;
  if (!row || button.form !== form) return;
  const rows = [...document.querySelectorAll(".session")];
  const at = rows.indexOf(row);
  answered = { form, place: form.getAttribute("action"), button, row, others: [...rows.slice(at + 1), ...rows.slice(0, at).reverse()] };
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!answered || event.detail.requestConfig.elt !== answered.form) return;
  const { form, place, button, row, others } = answered;
  answered = null;
  if (![document.body, button].includes(document.activeElement)) return;   // the reader went on
  if (!event.detail.successful) return button.focus();
  const title = row.querySelector(".title");
  if (form.matches(".stop")) return title.focus({ preventScroll: true });
  const kind = button.id.replace(/\d+$/, "");
  settled.add(place);
  const isSame = (other) => other.id.startsWith(kind) && !settled.has(other.form.getAttribute("action"));
  const next = others.flatMap((other) => [...other.querySelectorAll(".answers button")]).find(isSame);
  (next ?? title).focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
  koda.announce(`Answered: ${title.textContent.trim()}`);
});
document.addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter" && event.target.closest(".answers")) event.preventDefault();
});

// A row that goes for good while it holds the focus gives it to the next one.
let held = null;
document.addEventListener("htmx:wsBeforeMessage", () => {
  const row = document.activeElement?.closest?.(".session");
  held = row && { row, next: row.nextElementSibling ?? row.previousElementSibling, title: row.querySelector(".title")?.textContent };
});
document.addEventListener("htmx:wsAfterMessage", () => {
  if (!held || held.row.isConnected) return;
  const place = held.next?.isConnected ? held.next.querySelector(".title") : document.getElementById("main");
  place?.focus({ preventScroll: true });
  koda.announce(`${held.title?.trim()} is not in this list any more`);
});
