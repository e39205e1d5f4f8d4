// The reference of an API: the words of the field leave those operations that have all of them; a link opens what it names.
const field = document.getElementById("q");
const rows = [...document.querySelectorAll(".operation")].map((row) => [row, row.textContent.toLowerCase()]);

function narrow() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [row, text] of rows) row.hidden = !words.every((word) => text.includes(word));
  for (const section of document.querySelectorAll(".operations > section")) section.hidden = !section.querySelector(".operation:not([hidden])");
  document.getElementById("none").hidden = rows.some(([row]) => !row.hidden);
}
field.addEventListener("input", narrow);

function open() {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const row = place?.closest(".operation");
  if (!row) return;
  if (row.hidden) { field.value = ""; narrow(); }
  row.open = true;
  row.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", open);
open();
