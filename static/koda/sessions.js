// The long list: ticking many rows, and counting them. What is ticked is counted on the buttons' row by the form itself.
const list = () => document.getElementById("list");
const boxes = () => [...list().querySelectorAll(".session > .pick:enabled")];

let last = null;                  // with Shift, all between the last and this
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches?.(".session > .pick")) return;
  const all = boxes();
  if (event.shiftKey && last && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
    for (const other of all.slice(from, to + 1)) other.checked = box.checked;
  }
  last = box;
});

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.id === "pick-matching" && event.target.checked) for (const box of boxes()) box.checked = true;
  if (event.target.matches(".session > .pick") && !event.target.checked) {
    for (const id of ["pick-all", "pick-matching"]) document.getElementById(id).checked = false;
  }
});

// A row that goes for good is no longer counted; what was too many to be counted stays so.
let shown = 0;
const rows = () => list().querySelectorAll(".session").length;
document.addEventListener("htmx:wsBeforeMessage", () => { shown = rows(); });
document.addEventListener("htmx:wsAfterMessage", () => {
  const gone = shown - rows();
  for (const figure of gone > 0 ? list().querySelectorAll("[data-count]") : []) {
    const count = Number(figure.textContent.replaceAll(",", ""));
    if (!Number.isNaN(count)) figure.textContent = Math.max(0, count - gone).toLocaleString("en");
  }
});
