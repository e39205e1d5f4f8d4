"""A session seen from the door: running, quiet, stuck, back, waiting, approved, idle; on the wall, without a reload.

The promise is one second after each deadline; a second more is given to a machine that runs other tests beside it.
"""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person, agent_at
from tests.conftest import Server, start_server, stop_server

pytestmark = pytest.mark.browser

INTERVAL = 2  # seconds between heartbeats; quiet after two of them without progress
STUCK_AFTER = 8
PROMISED = 1.0
SLACK = 1.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("recording"), KODA_STUCK_AFTER=str(STUCK_AFTER))
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def agent(served: Server) -> Iterator[Agent]:
    speaking = agent_at(served)
    yield speaking
    speaking.client.close()


def test_each_change_is_seen_within_a_second_of_its_deadline(person: Person, agent: Agent):
    wall = person.open("/")
    expect(wall.locator(".fresh")).to_have_attribute("data-state", "live")
    wall.evaluate("window.notReloaded = true")
    session = agent.start("Watched from the door")
    row = wall.locator(".session", has_text="Watched from the door")

    def seen(look: str, band: str, *, since: float, after: float = 0.0) -> None:
        """Wait until the wall shows it, which must be at most `PROMISED` (and the slack) after its deadline."""
        left = since + after + PROMISED + SLACK - time.monotonic()
        expect(row).to_have_attribute("data-state", look, timeout=max(1, left * 1000))
        expect(row).to_have_attribute("data-band", band)
        if after:
            assert time.monotonic() - since >= after - 0.2, f"{look} before its deadline"

    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    started = time.monotonic()
    agent.client.post(f"/api/v1/sessions/{session}/heartbeat", json={"interval": INTERVAL}).raise_for_status()
    seen("live", "running", since=started)
    seen("quiet", "running", since=started, after=2 * INTERVAL)
    seen("stuck", "adrift", since=started, after=STUCK_AFTER)

    agent.tell(session, {"type": "text_delta", "text": "I am back"})
    seen("live", "running", since=time.monotonic())

    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "make deploy", "preview": None}
    agent.tell(session, ask)
    seen("needs", "needs", since=time.monotonic())

    row.get_by_role("button", name="Approve").click()
    seen("live", "running", since=time.monotonic())
    [command] = agent.commands(session)
    assert command["command"]["decision"] == {"decision": "approve"}

    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    seen("resting", "recent", since=time.monotonic())
    assert wall.evaluate("window.notReloaded === true")
