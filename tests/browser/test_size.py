"""Ten thousand sessions and ten thousand messages open at once, and stay small in the page."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Agent, Person, Prepared, agent_at, browsing, is_unreloaded
from tests.conftest import Server, stop_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SESSIONS = 10_001  # more than are counted
MESSAGES = 10_000
OPENS_WITHIN_SECONDS = 3
# Through the API this would take minutes; a process of its own writes the rows, as an old installation has them.
FILL = f"""
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils.timezone import now
from sessions.models import Session
owner = get_user_model().objects.get(username="owner")
at = now() - timedelta(days=1)
Session.objects.bulk_create([
    Session(owner=owner, source="archive", agent_name="koda", title=f"Old session {{number}}",
            liveness_since=at, created_at=at, updated_at=at, last_activity_at=at - timedelta(seconds=number))
    for number in range({SESSIONS})
], batch_size=500)
"""


@pytest.fixture(scope="module")
def full(serve: Callable[..., Server]) -> Iterator[Server]:
    running = serve()
    try:
        running.manage("shell", "--no-imports", "--command", FILL)
        yield running
    finally:
        stop_server(running)


@pytest.fixture(scope="module")
def writer(full: Server, prepared: Prepared) -> Iterator[Agent]:
    someone = agent_at(full, prepared.key)
    yield someone
    someone.client.close()


@pytest.fixture
def reader(chromium: Browser, full: Server, request: pytest.FixtureRequest) -> Iterator[Person]:
    with browsing(chromium, full, request) as someone:
        someone.come_in()
        yield someone


def numbers(page: Page) -> list[int]:
    """Return the numbers of the messages that the page holds, as they stand."""
    texts = page.locator("#transcript .message .prose").all_text_contents()
    return [int(found[0]) for text in texts if (found := re.findall(r"line (\d+)", text))]


def assert_in_one_piece(page: Page) -> list[int]:
    held = numbers(page)
    assert held == list(range(held[0], held[-1] + 1))
    return held


def test_the_wall_of_ten_thousand_sessions_opens_at_once_and_lives(reader: Person, writer: Agent):
    began = time.monotonic()
    wall = reader.open("/")
    assert time.monotonic() - began < OPENS_WITHIN_SECONDS
    expect(wall.locator("#recent .left-out")).to_contain_text("Many more")
    assert wall.locator(".session").count() <= 100
    expect(wall.locator("#fresh")).to_have_attribute("data-state", "live")
    writer.start("The newest of all")
    expect(wall.locator("#recent .session").first).to_contain_text("The newest of all")
    began = time.monotonic()
    wall.goto(f"{reader.url}/?q=Old+session+7777")
    assert time.monotonic() - began < OPENS_WITHIN_SECONDS
    expect(wall.locator(".session")).to_have_count(1)


def test_ten_thousand_messages_open_at_the_end_and_load_both_ways(reader: Person, writer: Agent):
    session = writer.start("A long conversation")
    writer.say_all(session, [f"line {number}" for number in range(MESSAGES)])
    began = time.monotonic()
    page = reader.open(f"/sessions/{session}/")
    assert time.monotonic() - began < OPENS_WITHIN_SECONDS
    expect(page.locator("#transcript .message").last).to_be_in_viewport()
    assert numbers(page)[-1] == MESSAGES - 1
    expect(page.locator("#fresh")).to_have_attribute("data-state", "live")
    page.evaluate("window.isNotReloaded = true")
    oldest = numbers(page)[0]
    for _ in range(6):  # up, by more than the page holds
        first = page.locator("#transcript .message").first
        identity = str(first.get_attribute("id"))
        page.evaluate("scrollTo(0, 0)")
        expect(first).not_to_have_attribute("id", identity)
        page.wait_for_timeout(50)  # two frames: the place is kept and the far end let go
        held = assert_in_one_piece(page)
        assert len(held) <= 500
    assert held[0] < oldest - 400
    assert held[-1] < MESSAGES - 1
    writer.say(session, f"line {MESSAGES}")
    expect(page.locator("#pill")).to_contain_text("1 new")
    for _ in range(30):  # and down again
        if numbers(page)[-1] == MESSAGES:
            break
        last = page.locator("#transcript .message").last
        identity = str(last.get_attribute("id"))
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        expect(last).not_to_have_attribute("id", identity)
        page.wait_for_timeout(50)
        assert_in_one_piece(page)
    assert numbers(page)[-1] == MESSAGES
    assert is_unreloaded(page)


def test_a_link_to_a_message_in_the_middle_opens_there(reader: Person, writer: Agent):
    session = writer.start("A link into the middle")
    before = writer.say(session, "line 0")
    writer.say_all(session, [f"line {number}" for number in range(1, 1000)])
    page = reader.open_live(f"/sessions/{session}/?at={before + 500}#message-{before + 500}")
    expect(page.locator(f"#message-{before + 500}")).to_be_in_viewport()
    held = assert_in_one_piece(page)
    assert held[0] < 500 < held[-1]
