// Notifications of the browser: the wall tells of the reader's own sessions, each at most once in its quiet time.
const WORDS = { needs: "needs you", stuck: "is stuck", lost: "is lost" };
const FORGOTTEN_AFTER = 86_400_000;
const meta = document.querySelector("meta[name=koda-notify]");

// --- On the page of alerts: the browser is asked when the reader wants it, and says what it allows -------------

const form = document.getElementById("notifying");
const place = document.getElementById("permission");

function showPermission() {
  if (!place) return;
  const words = { granted: "This browser allows it.", denied: "This browser refuses it; allow it in its settings for this site.", default: "This browser has not been asked yet." };
  place.textContent = "Notification" in window ? words[Notification.permission] : "This browser cannot notify, or only over HTTPS.";
}

form?.addEventListener("change", async (event) => {
  if (event.target.name !== "notifies" || !event.target.checked || !("Notification" in window)) return;
  await Notification.requestPermission();
  showPermission();
});
showPermission();

// --- On the wall ----------------------------------------------------------------------------------------------

const looks = new Map();          // of each row, as it was last seen
const remember = () => {
  for (const row of document.querySelectorAll(".session")) looks.set(row.id, row.dataset.state);
};

function toldAt(id) {
  try {
    return Number(localStorage.getItem(`koda:told:${id}`)) || 0;
  } catch {
    return 0;                     // storage is forbidden: quiet time then holds for this page alone
  }
}

function noteTold(id) {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("koda:told:") && Date.now() - Number(localStorage.getItem(key)) > FORGOTTEN_AFTER) localStorage.removeItem(key);
    }
    localStorage.setItem(`koda:told:${id}`, String(Date.now()));
  } catch {
    // see toldAt
  }
}

function tell(row) {
  const quiet = Number(meta.dataset.quiet) * 60_000;
  if (document.hasFocus() && !document.hidden) return;      // whoever looks sees it
  if (Date.now() - toldAt(row.id) < quiet) return;
  const link = row.querySelector(".title");
  const body = [row.querySelector(".now")?.textContent, row.querySelector(".source")?.textContent].map((part) => part?.trim()).filter(Boolean).join(" · ");
  try {
    const shown = new Notification(`${link.textContent.trim()} ${WORDS[row.dataset.state]}`, { body, tag: `koda-${row.id}`, icon: document.querySelector("link[rel=icon]")?.href });
    shown.addEventListener("click", () => {
      window.focus();
      location.assign(link.href);
    });
    noteTold(row.id);
  } catch {
    // some browsers notify only through a service worker, which this page has not
  }
}

if (meta && "Notification" in window) {
  remember();
  document.addEventListener("htmx:wsAfterMessage", (event) => {
    const touched = new Set([...event.detail.message.matchAll(/id="(session-\d+)"/g)].map((found) => found[1]));
    for (const id of touched) {
      const row = document.getElementById(id);
      if (!row) {
        looks.delete(id);
        continue;
      }
      const isNew = looks.get(id) !== row.dataset.state;
      looks.set(id, row.dataset.state);
      if (isNew && row.dataset.state in WORDS && row.dataset.owner === meta.content && Notification.permission === "granted") tell(row);
    }
  });
  document.addEventListener("htmx:afterSwap", remember);    // another filter
}
