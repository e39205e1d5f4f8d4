"""Pages that are left open do not grow: a day of events, shortened, before one reader who follows."""

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


def assert_no_larger(before: dict[str, float], after: dict[str, float], told: int) -> None:
    for name in ("Nodes", "JSEventListeners"):
        assert after[name] < before[name] * (1 + SPARE_PERCENT / 100) + 200, (name, before, after, told)
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] + SPARE_BYTES, (before, after, told)
    shown = {name: (before[name], after[name]) for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize")}
    print(f"{told} events: {shown}")  # noqa: T201  (read with -s)


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
    assert_no_larger(before, after, told)


def test_a_wall_that_is_left_open_for_a_day_does_not_grow(person: Person, agent: Agent):
    wall = person.open_live("/")
    browser = wall.context.new_cdp_session(wall)
    browser.send("Performance.enable")
    told = 0

    def live(count: int, since: int) -> None:
        """Let sessions begin, work and end, until the wall has shown the last of them."""
        nonlocal told
        for number in range(since, since + count):
            session = agent.start(f"Of the day {number}")
            told += work(agent, session, number) + 1
        expect(wall.locator("#recent .session").first).to_contain_text(
            f"Of the day {since + count - 1}", timeout=20_000
        )

    live(70, 0)  # as many as the wall keeps, and more
    before, told = measure(browser), 0
    live(EVENTS // 24, 70)
    after = measure(browser)
    assert wall.locator("#recent .session").count() <= 100
    assert_no_larger(before, after, told)


def test_an_inbox_that_is_left_open_for_a_day_keeps_what_waits_and_little_more(person: Person, agent: Agent):
    inbox = person.open_live("/inbox/")
    browser = inbox.context.new_cdp_session(inbox)
    browser.send("Performance.enable")
    session = agent.start("Asks all day")
    told = 0

    def ask(count: int, since: int) -> None:
        """Let one turn after another ask, and be settled, until the inbox has shown the last of them."""
        nonlocal told
        for number in range(since, since + count):
            asked = {"type": "approval_request", "id": f"r{number}", "tool_name": "Bash", "preview": None}
            agent.tell(
                session,
                {"type": "turn_start", "turn_id": f"t{number}"},
                {**asked, "detail": f"make {number}"},
            )
            expect(inbox.locator(".ask", has_text=f"make {number}").last).to_be_attached()
            agent.tell(session, {"type": "turn_end", "turn_id": f"t{number}", "reason": {"kind": "complete"}})
            told += 3
        expect(inbox.locator(".ask").last).to_have_attribute("data-state", "resting")

    ask(30, 0)
    before, told = measure(browser), 0
    ask(50, 30)
    after = measure(browser)
    assert inbox.locator('.ask[data-state="resting"]').count() <= 40, "the newest 20, and what is in sight"
    assert_no_larger(before, after, told)
