"""From an event that is posted to the pixel that changes in a browser."""

import time

from playwright.sync_api import Page, sync_playwright

from benchmarks.ground import Target
from benchmarks.lines import Line, quantile
from benchmarks.run import Run
from tests import browsers
from tests.conftest import OWNER, PASSWORD

_P95_MS = 150
_APART_SECONDS = 0.3
_NOTE = """() => {
  window.seen = {};
  const note = (mutations) => {
    const found = new Set();
    for (const mutation of mutations) for (const node of mutation.addedNodes)
      for (const word of node.textContent.match(/pixel\\d+/g) || []) found.add(word);
    if (!found.size) return;
    // The frame that is being made holds the change; the next task runs when it is made.
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        for (const word of found) window.seen[word] ??= performance.timeOrigin + performance.now();
      };
      channel.port2.postMessage(0);
    });
  };
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
}"""
"""Notes for each word when the frame with it was made, in ms since the epoch."""


def measure(run: Run) -> list[Line]:
    """Post messages to a session whose page is open, and ask the page when it showed each."""
    with run.serve("pixels") as target, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browsers.find(), args=browsers.FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        _open(page, target)
        sent = _post(target, page, run.size.pixels)
        page.wait_for_function(f"Object.keys(window.seen).length === {len(sent)}", timeout=20_000)
        seen: dict[str, float] = page.evaluate("window.seen")
        browser.close()
    p95 = quantile([seen[word] - at for word, at in sent.items()], 0.95)
    return [Line("event posted to pixel changed in Chromium, p95", p95, "ms", f"under {_P95_MS} ms", p95 < _P95_MS)]


def _open(page: Page, target: Target) -> None:
    """Sign in, open the session's page, and wait until its socket speaks."""
    page.goto(f"{target.url}/sign-in/")
    page.get_by_label("Name").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{target.url}/")
    page.goto(f"{target.url}/sessions/{target.sessions[1]}/")
    page.wait_for_selector('#fresh[data-state="live"]')
    page.evaluate(_NOTE)


def _post(target: Target, page: Page, count: int) -> dict[str, float]:
    """Post messages some time apart; return when each was sent, in ms since the epoch."""
    path, sent = f"/api/v1/sessions/{target.sessions[1]}/messages", {}
    with target.agent() as agent:
        for number in range(count):
            word = f"pixel{number}"
            sent[word] = time.time() * 1000
            agent.post(path, json={"role": "assistant", "content": f"The {word} changes"}).raise_for_status()
            page.wait_for_timeout(_APART_SECONDS * 1000)  # Playwright's own: the page's events go on
    return sent
