// When the server's day ends while the page is open, what was today is yesterday. It comes long before, for there may be no network then.
const { koda } = window;
const { until, zone } = document.querySelector("meta[name=koda-now]").dataset;
let calendar = new Intl.DateTimeFormat("sv");
try {
  calendar = new Intl.DateTimeFormat("sv", { timeZone: zone });
} catch { /* a name that this browser does not know: its own zone has to do */ }

export function begin() {
  if (koda.now() < until) return;
  const today = calendar.format(koda.now());
  for (const place of document.querySelectorAll(":is(span, h2)[data-day]")) {
    const words = wordsOf(place.dataset.day, today);
    if (place.textContent !== words) place.textContent = words;
  }
}

function wordsOf(day, today) {
  const back = (Date.parse(today) - Date.parse(day)) / 86_400_000;
  const date = new Date(day).toUTCString().split(/,? 0?/);       // Mon, 03 Nov 2026 00:00:00 GMT
  return ["Today", "Yesterday"][back] ?? date.slice(0, today.startsWith(date[3]) ? 3 : 4).join(" ");
}
