"""Play the scenarios against a server that runs, in real time; or compare a session that your agent made.

    python -m tests.scenarios --url http://127.0.0.1:8765 --key koda_…
    python -m tests.scenarios --url … --key … --check crash-in-a-tool SESSION_ID

All play side by side, so that it takes as long as the longest of them. See docs/scenarios.md.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from tests.scenarios.playing import NotPossibleHere, Play, Scenario, read_all, seen_over_http

SETTLE_SECONDS = 2.0
"""How long a server may take to notice what is due: it looks every second."""
LONGEST_SECONDS = 800
"""Steps that come later than this are left out, unless one says otherwise."""
NEEDED = frozenset({"import", "restart"})
"""What only a world of our own can do."""


class Served:
    """A server somewhere, in real time; one key is agent and person."""

    def __init__(self, url: str, key: str) -> None:
        self.root, self.key = url.rstrip("/"), key
        self.began = time.monotonic()

    def travel_to(self, seconds: float) -> None:
        time.sleep(max(0.0, self.began + seconds - time.monotonic()))

    def restart(self, seconds: float) -> None:
        raise NotPossibleHere(f"a restart of {seconds:g} s")

    def import_old(self, lines: list[dict[str, Any]]) -> str:
        raise NotPossibleHere(f"an import of {len(lines)} lines")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def call(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "User-Agent": f"koda-scenarios ({who})",
        }
        request = urllib.request.Request(f"{self.root}/api/v1/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def see(self, session_id: str) -> dict[str, Any]:
        seen = seen_over_http(lambda path: self.call("person", "GET", path)[1], session_id)
        del seen["incidents"]  # The other scenarios play on the same source.
        return seen


def play(scenario: Scenario, url: str, key: str) -> list[str]:
    """Play one scenario and return its faults, or that it could not be played."""
    try:
        return Play(scenario, Served(url, key), settles_within=SETTLE_SECONDS).run()
    except (OSError, RuntimeError, ValueError) as error:
        return [f"it could not be played: {error}"]


def check(scenario: Scenario, session_id: str, url: str, key: str) -> list[str]:
    """Return how a session differs from what a scenario leaves behind."""
    seen = Served(url, key).see(session_id)
    expected: dict[str, Any] = {}
    for step in scenario.steps:
        expected |= step.get("expect", {})
    words = ("state", "liveness", "needs", "findings")
    faults = [
        f"{word} is {seen[word]!r}, expected {expected[word]!r}" for word in words if seen[word] != expected[word]
    ]
    ends = [reason for _, reason in expected.get("turns", [])]
    if "turns" in expected and [reason for _, reason in seen["turns"]] != ends:
        faults.append(f"turns ended as {[reason for _, reason in seen['turns']]}, expected {ends}")
    return faults


def main() -> int:
    """Play or check what the command line says; return 1 when something was not as expected."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description="Play scenarios against a server.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to play; all when absent")
    parser.add_argument("--url", required=True, help="the server, such as http://127.0.0.1:8765")
    parser.add_argument("--key", required=True, help="a key with the scopes write, read and control")
    parser.add_argument(
        "--longest", type=float, default=LONGEST_SECONDS, help="leave out steps later than this, in seconds"
    )
    parser.add_argument("--check", metavar="SCENARIO", help="compare the session NAME, made by your agent, with it")
    said = parser.parse_args()
    if said.check:
        (scenario,) = read_all([said.check])
        faults = [fault for session_id in said.names for fault in check(scenario, session_id, said.url, said.key)]
        return _tell({said.check: faults}, {})
    chosen, left_out = [], {}
    for scenario in read_all(said.names):
        if any(action in step for step in scenario.steps for action in NEEDED):
            left_out[scenario.name] = "needs a server of its own"
        else:
            chosen.append(scenario.until(said.longest))
    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as threads:
        runs = threads.map(lambda scenario: play(scenario, said.url, said.key), chosen)
        return _tell({scenario.name: faults for scenario, faults in zip(chosen, runs, strict=True)}, left_out)


def _tell(faults: dict[str, list[str]], left_out: dict[str, str]) -> int:
    out = sys.stdout.write
    for name, found in faults.items():
        out(f"{'as expected' if not found else 'NOT AS EXPECTED':<16} {name}\n")
        for fault in found:
            out(f"    {fault}\n")
    for name, why in left_out.items():
        out(f"{'left out':<16} {name}: {why}\n")
    wrong = sum(bool(found) for found in faults.values())
    out(f"{len(faults)} played, {wrong} not as expected, {len(left_out)} left out.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
