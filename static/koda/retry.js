// The page of a database that does not answer: it asks again, and loads anew once there is something else to see.
const wait = 1000 * document.querySelector("[data-retry]").dataset.retry;

async function ask() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.status !== 503) return location.reload();
  } catch { /* the server is away, too */ }
  setTimeout(ask, wait);
}
setTimeout(ask, wait);
