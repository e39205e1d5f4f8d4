"""Makes the pictures of README and docs from the demo's own agents: `make pictures`."""

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tests import browsers
from tests.browser.conftest import Person
from tests.conftest import ROOT, Server, start_server, stop_server

FOLDER = ROOT / "docs" / "pictures"
WIDE = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
LARGEST_BYTES = 150_000
COLOURS = 255
"""As many as a picture keeps: a page has few, and those between are of the edges of letters."""
PAGES = {
    "wall": "/",
    "session": "/sessions/{session}/",
    "events": "/sessions/{session}/?tab=events",
    "inbox": "/inbox/",
    "sessions": "/sessions/",
    "storage": "/storage/",
    "connect": "/connect/",
    "search": "/search/?q=tide",
    "figures": "/figures/?days=7",
    "account": "/account/",
    "alerts": "/account/alerts/",
    "style": "/styleguide/",
    "reference": "/api/v1/docs",
}
"""The pages that are pictured, each in both themes, wide and on a phone."""
NEEDING, SESSIONS = 2, 9
STUCK_AFTER_SECONDS = 25
"""Longer than any agent of the demo is silent, but for the one that hangs."""
WITHIN_SECONDS = 90


def main() -> None:
    """Serve, let the demo's agents work, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = start_server(Path(folder), KODA_STUCK_AFTER=str(STUCK_AFTER_SECONDS))
        agents = _start_agents(server)
        browser = playwright.chromium.launch(executable_path=browsers.find(), args=browsers.FLAGS)
        try:
            session = _wait_for_work(server)
            for scheme in ("light", "dark"):
                _take(browser, server, session, scheme)
        finally:
            browser.close()
            agents.terminate()
            agents.wait()
            stop_server(server)


def _start_agents(server: Server) -> subprocess.Popen[bytes]:
    key = server.create_key("demo", "write", "read", "control")
    command = [sys.executable, "manage.py", "demo", "--url", server.url, "--key", key]
    return subprocess.Popen(command, cwd=ROOT, env=server.environment, stdout=subprocess.DEVNULL)


def _wait_for_work(server: Server) -> str:
    """Return the id of a session that waits for an approval, once enough need a person and one is stuck."""
    key = server.create_key("eyes", "read")
    headers = {"Authorization": f"Bearer {key}"}
    deadline = time.monotonic() + WITHIN_SECONDS
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        while time.monotonic() < deadline:
            items = client.get("/api/v1/sessions").json()["items"]
            waiting = [item for item in items if item["needs"]]
            asked = [item["id"] for item in waiting if item["needs"] == "approval" and item["message_count"]]
            is_stuck = any(item["liveness"] == "stuck" for item in items)
            if len(items) >= SESSIONS and len(waiting) >= NEEDING and asked and is_stuck:
                return str(asked[0])
            time.sleep(0.5)
    raise SystemExit("The demo's agents asked for nothing in time.")


def _take(browser: Browser, server: Server, session: str, scheme: str) -> None:
    for name, options in (("", WIDE), ("-phone", PHONE)):
        context = browser.new_context(**options, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        person = Person(context, server)
        person.sign_in()
        for page_name, path in PAGES.items():
            page = person.open(path.format(session=session))
            if page.locator(".fresh").count():
                expect(page.locator(".fresh")).to_have_attribute("data-state", "live")
            place = FOLDER / f"{page_name}{name}{'-dark' if scheme == 'dark' else ''}.png"
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot.quantize(COLOURS, dither=Image.Dither.NONE).save(place, optimize=True)
            if place.stat().st_size > LARGEST_BYTES:
                raise SystemExit(f"{place.name} has {place.stat().st_size:,} bytes, more than {LARGEST_BYTES:,}.")
            page.close()
        context.close()


if __name__ == "__main__":
    main()
