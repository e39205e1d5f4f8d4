"""The long list in a browser: ticks, keys, filters, live rows, and all of it without script."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser
START = {"type": "turn_start", "turn_id": "t"}


def titles(page: Page) -> list[str]:
    return page.locator("#list .session .title").all_text_contents()


def test_rows_are_ticked_by_key_live_on_and_are_deleted_together(person: Person, agent: Agent):
    sessions = [agent.start(f"Bulk egret {number}") for number in range(3)]
    page = person.open_live("/sessions/?q=bulk+egret")
    expect(page.locator("#list .session")).to_have_count(3)
    expect(page.get_by_role("button", name="Delete")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    agent.tell(sessions[2], START)  # stands first: the row is morphed and keeps its tick
    expect(page.locator("#list .session").first).to_have_attribute("data-state", re.compile("live|quiet"))
    expect(page.locator(".pick:checked")).to_have_count(2)
    assert is_unreloaded(page)
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("h1")).to_have_text("Delete: 2 sessions")
    page.get_by_role("button", name="Delete: 2 sessions").click()
    expect(page.locator(".toast")).to_contain_text("Deleted: 2 sessions.")
    assert titles(page) == ["Bulk egret 0"]
    assert "q=bulk+egret" in page.url


def test_the_bar_narrows_without_a_reload_and_the_address_keeps_it(person: Person, agent: Agent):
    agent.start("Grey egret", agent_name="watcher")
    agent.start("Night egret")
    page = person.open_live("/sessions/")
    page.keyboard.press("/")
    page.keyboard.type("egret")
    expect(page.locator("#list .session", has_text="Night egret")).to_be_visible()
    page.get_by_label("Agent", exact=True).select_option("watcher")
    expect(page.locator("#list .session")).to_have_count(1)
    assert is_unreloaded(page)
    assert set(re.findall(r"(\w+)=", page.url)) == {"q", "agent"}
    page.reload()
    assert titles(page) == ["Grey egret"]


def test_a_row_that_goes_gives_its_focus_on(person: Person, agent: Agent):
    first = agent.start("Leaving egret 1")
    agent.start("Leaving egret 2")
    page = person.open_live("/sessions/?q=leaving+egret&sort=old")
    page.locator(".title", has_text="Leaving egret 1").focus()
    assert agent.client.delete(f"/api/v1/sessions/{first}").is_success
    expect(page.locator(".title", has_text="Leaving egret 2")).to_be_focused()
    expect(page.locator("#announce")).to_contain_text("Leaving egret 1 is not in this list any more")


def test_a_row_that_goes_is_no_longer_counted(person: Person, agent: Agent):
    first, *others = [agent.start(f"Counted egret {number}") for number in range(3)]
    page = person.open_live("/sessions/?q=counted+egret")
    for session, left in ((first, 2), (others[0], 1), (others[1], 0)):
        assert agent.client.delete(f"/api/v1/sessions/{session}").is_success
        expect(page.locator("#list .session")).to_have_count(left)
        expect(page.locator("#list-head")).to_have_text(f"Matching {left}")
        expect(page.locator("#bulk label")).to_have_text([f"These {left}", f"All {left} that match"])


@pytest.mark.parametrize("person", [{"java_script_enabled": False}], indirect=True, ids=["no script"])
def test_without_script_all_that_match_are_made_public(person: Person, agent: Agent):
    for number in range(2):
        agent.start(f"Paper egret {number}")
    page = person.open("/sessions/")
    page.get_by_label("Filter by text").fill("paper egret")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("All 2 that match").check()
    page.get_by_role("button", name="Make public").click()
    page.get_by_role("button", name="Make public: 2 sessions").click()
    expect(page.locator(".toast")).to_contain_text("Made public: 2 sessions.")
    page.locator(".title").first.click()
    expect(page.locator(".facts")).to_contain_text("public, by link")
