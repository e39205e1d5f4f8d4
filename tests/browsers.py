"""Find the browser for the tests, or get one.

Order: $CHROMIUM, a Chromium or Chrome on the PATH, Playwright's own. With --install: also the
distribution's package (as root) and Playwright's download. No browser is a failure, never a skip.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NOT_FOUND = (
    "The tests need a Chromium, and none could be found or installed.\n"
    "Install one (Debian: apt-get install chromium), or name one: CHROMIUM=/path/to/chromium make test"
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find() -> str | None:
    """Return the path of a browser that is installed, or None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, _NAMES)), None) or _find_playwrights_own()


def _find_playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str | None:
    """Return the path of a browser, fetched if there is none yet; None when nothing helps."""
    if (found := find()) or os.environ.get("CHROMIUM"):
        return found
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        attempts.insert(0, ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"])
        subprocess.run(["apt-get", "update"], check=False, stdout=subprocess.DEVNULL)
    for command in attempts:
        print("No browser yet, trying:", " ".join(command), flush=True)
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if done.returncode == 0 and (found := find()):
            return found
    return None


if __name__ == "__main__":
    browser = install() if "--install" in sys.argv else find()
    if browser is None:
        sys.exit(NOT_FOUND)
    print(f"Browser: {browser}")
