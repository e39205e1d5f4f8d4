"""The live picture as it is watched: each liveness on the wall within a second of its deadline, without a reload."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Agent, Person, Prepared, agent_at, browsing, is_unreloaded
from tests.conftest import Server, stop_server

pytestmark = pytest.mark.browser

INTERVAL_SECONDS = 1
QUIET_AFTER_SECONDS = 2 * INTERVAL_SECONDS  # LIVENESS.md: nothing but heartbeats for two intervals
STUCK_AFTER_SECONDS = 5
LATENESS_SECONDS = 1.0
GIVE_UP_SECONDS = 10

RECORD = """title => {
  const now = () => Date.now() / 1000;
  window.recording = [];
  const look = () => {
    const isIt = (row) => row.querySelector(".title").textContent.startsWith(title);
    const row = [...document.querySelectorAll(".session")].find(isIt);
    const state = row ? `${row.closest(".band").dataset.band} ${row.dataset.state}` : "absent";
    if (window.recording.at(-1)?.state !== state) window.recording.push({ state, at: now() });
  };
  look();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""
"""Writes down, in the page itself, when the row of a session came to stand in another band or state."""


@pytest.fixture(scope="module")
def impatient(serve: Callable[..., Server]) -> Iterator[Server]:
    running = serve(KODA_STUCK_AFTER=str(STUCK_AFTER_SECONDS))
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def heron(impatient: Server, prepared: Prepared) -> Iterator[Agent]:
    someone = agent_at(impatient, prepared.key)
    yield someone
    someone.client.close()


@pytest.fixture
def watcher(chromium: Browser, impatient: Server, request: pytest.FixtureRequest) -> Iterator[Person]:
    with browsing(chromium, impatient, request) as someone:
        someone.come_in()
        yield someone


def recording(page: Page) -> list[dict[str, Any]]:
    return page.evaluate("window.recording")


def seen_at(page: Page, state: str, *, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Wait until the newest entry of the recording is `state`; return when it became so."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        newest = recording(page)[-1]
        if newest["state"] == state:
            return newest["at"]
        meanwhile()
        page.wait_for_timeout(50)
    pytest.fail(f"never {state!r}, but {recording(page)}")


def heard_at(act: Callable[[], None]) -> tuple[float, float]:
    """Act, and return between which times the server heard of it."""
    before = time.time()
    act()
    return before, time.time()


def test_running_quiet_stuck_back_asked_approved_and_idle_each_within_a_second(watcher: Person, heron: Agent):
    agent = heron
    session = agent.start("Count the herons")
    agent.beat(session, interval=INTERVAL_SECONDS)
    wall = watcher.open_live("/")
    wall.evaluate(RECORD, "Count the herons")

    def on_time(state: str, heard: tuple[float, float], *, after: float = 0) -> None:
        """Assert that `state` showed neither before `after` seconds nor more than a second later."""
        earliest, latest = heard[0] + after, heard[1] + after + LATENESS_SECONDS
        at = seen_at(wall, state, meanwhile=beat)
        assert earliest <= at <= latest, f"{state}: {at - heard[0] - after:.3f} s after its deadline"

    last_beat = time.monotonic()

    commands: list[dict[str, Any]] = []

    def beat() -> None:
        """A heart that beats says that the process lives, and nothing of progress; it takes what people ask for."""
        nonlocal last_beat
        if time.monotonic() - last_beat >= INTERVAL_SECONDS:
            last_beat = time.monotonic()
            commands.extend(agent.beat(session, interval=INTERVAL_SECONDS))

    begins = {"type": "turn_start", "turn_id": "t"}, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {}}
    started = heard_at(lambda: agent.tell(session, *begins))
    on_time("running live", started)
    on_time("running quiet", started, after=QUIET_AFTER_SECONDS)
    on_time("adrift stuck", started, after=STUCK_AFTER_SECONDS)
    expect(wall.locator("#counters")).to_have_attribute("data-adrift", "1")
    on_time("running live", heard_at(lambda: agent.tell(session, {"type": "info", "message": "here again"})))
    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "open the hide", "preview": None}
    on_time("needs needs", heard_at(lambda: agent.tell(session, ask)))
    row = wall.locator(".session", has_text="Count the herons")
    expect(wall).to_have_title("1 needs you · Koda Web")
    approve = row.get_by_role("button", name="Approve")
    clicked = heard_at(lambda: approve.dispatch_event("click"))  # no pointer: what it holds stays in its band
    on_time("running live", clicked)
    [command] = commands or agent.commands(session)
    assert command["command"]["decision"] == {"decision": "approve"}
    end = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}
    on_time("recent resting", heard_at(lambda: agent.tell(session, end)))
    assert [entry["state"] for entry in recording(wall)] == [
        "recent resting",
        "running live",
        "running quiet",
        "adrift stuck",
        "running live",
        "needs needs",
        "running live",
        "recent resting",
    ]
    assert is_unreloaded(wall)
