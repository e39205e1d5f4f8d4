"""Days on pages are the server's, wherever the reader is, and stay right while a page is open over midnight."""

from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVERYWHERE = [{"timezone_id": zone} for zone in ("Pacific/Kiritimati", "Etc/GMT+12")]  # one of both has another day now


def words_of(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"


def test_a_page_that_is_open_over_midnight_says_what_was_yesterday(person: Person, agent: Agent):
    session = agent.start("Over midnight")
    agent.say(session, "the last of the day")
    person.context.clock.install()
    person.context.route_web_socket("**", lambda _: None)  # which would tell the page the true time
    with person.context.expect_event("response", lambda answer: "/days" in answer.url):
        page = person.open(f"/sessions/{session}/")
    head = page.locator("#transcript .day span")
    day = date.fromisoformat(str(head.get_attribute("data-day")))
    later = {"Today": "Yesterday", "Yesterday": words_of(day)}  # or it was midnight just now
    expected = later[head.inner_text()]
    page.clock.fast_forward("24:00:00")
    expect(head).to_have_text(expected)
    page.clock.fast_forward("24:00:00")
    expect(head).to_have_text(words_of(day))


def test_a_page_that_knows_no_time_asks_for_none(person: Person):
    page = person.open("/figures/")
    for _ in range(2):  # with the first comes what says days anew
        page.evaluate("new Promise((done) => document.addEventListener('koda:tick', done, { once: true }))")
    assert page.locator("meta[name=koda-now]").count() == 0


@pytest.mark.parametrize("person", EVERYWHERE, indirect=True)
def test_a_day_that_begins_while_one_looks_is_the_servers(person: Person, agent: Agent):
    session = agent.start("Into a new day")
    agent.say(session, "long ago", created_at="2026-01-05T23:30:00Z")
    page = person.open_live(f"/sessions/{session}/")
    now = datetime.now(UTC)
    agent.say(session, "now")
    expect(page.locator("#transcript .message")).to_have_count(2)
    days = {words_of(now.date()), words_of((now + timedelta(minutes=5)).date())}
    assert page.locator("#transcript .day").last.inner_text() in days
    assert page.locator("#transcript .day").count() == 2
