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
