"""A page that is left open does not grow: a day of events, shortened, before one reader who follows."""

import pytest
from playwright.sync_api import CDPSession, expect

from tests.browser.conftest import Agent, Person

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVENTS = 900
"""At least; the page has seen those of one turn before those of the next come, so that each is worked in by itself."""
SPARE_BYTES = 3_000_000
SPARE_PERCENT = 15


def measure(browser: CDPSession) -> dict[str, float]:
    """Return what the page holds once nothing unused is left."""
    for _ in range(3):
        browser.send("HeapProfiler.collectGarbage")
    metrics = browser.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


def work(agent: Agent, session: str, number: int) -> int:
    """Let the agent do what takes 25 events: it thinks, speaks, calls a tool, and says what came of it."""
    turn = f"turn {number}"
    call = {"id": turn, "name": "Bash", "turn_id": turn}
    spoken = [{"type": "text_delta", "text": f"word {at} ", "turn_id": turn} for at in range(18)]
    agent.tell(
        session,
        {"type": "turn_start", "turn_id": turn},
        *spoken,
        {"type": "tool_call_start", "args": {"command": "make"}, **call},
        {"type": "tool_call_result", "output": "made\n" * 20, **call},
        {"type": "turn_end", "turn_id": turn, "reason": {"kind": "complete"}},
    )
    agent.say(session, f"**Said** {number} `code`\n\n- a\n- b", role="assistant")
    return 23


def test_a_page_that_is_left_open_for_a_day_does_not_grow(person: Person, agent: Agent):
    session = agent.start("A long day")
    agent.say_all(session, [f"message {number}" for number in range(1000)])
    page = person.open_live(f"/sessions/{session}/")
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")
    limit = int(page.locator("#transcript").get_attribute("data-limit") or 0)
    agent.say_all(session, [f"more {number}" for number in range(limit)])
    expect(page.locator("#transcript .message").last).to_contain_text(f"more {limit - 1}")
    for number in range(20):
        work(agent, session, number)
    expect(page.locator("#transcript .message").last).to_contain_text("Said 19")
    before = measure(browser)
    told, number = 0, 20
    while told < EVENTS:
        told += work(agent, session, number)
        expect(page.locator("#transcript .message").last).to_contain_text(f"Said {number}", timeout=20_000)
        number += 1
    after = measure(browser)
    assert page.locator("#transcript .message").count() <= limit
    for name in ("Nodes", "JSEventListeners"):
        assert after[name] < before[name] * (1 + SPARE_PERCENT / 100) + 200, (name, before, after, told)
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] + SPARE_BYTES, (before, after, told)
    shown = {name: (before[name], after[name]) for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize")}
    print(f"{told} events: {shown}")  # noqa: T201  (read with -s)
