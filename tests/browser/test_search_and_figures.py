"""Search and figures: found as one types, narrowed, opened at the very message; and counted from what agents said."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser

WITHIN_SECONDS = 20
LATER = 400
"""Messages after the one that is looked for: it is not in the page that opens at the newest end."""


def look_again(page: Page, button: str, place: str) -> None:
    """Ask until what was just written is there: it is indexed, and added up, after it is written."""
    for _ in range(WITHIN_SECONDS * 5):
        if page.locator(place).count():
            return
        page.wait_for_timeout(200)
        page.get_by_role("button", name=button, exact=True).click()
    raise AssertionError(page.locator("main").inner_text())


def test_what_was_said_long_ago_is_found_as_one_types_and_opened_at_the_very_message(person: Person, agent: Agent):
    session = agent.start("Cormorants", agent_name="diver")
    wanted = agent.say(session, "The **shag** nests on the northern ledge")
    agent.say_all(session, [f"Dive {number}" for number in range(LATER)])
    agent.say(agent.start("Gannets", agent_name="plunger"), "A shag is no gannet")
    page = person.open("/search/?q=shag")
    look_again(page, "Search", ".hit:nth-child(2)")
    page = person.open("/search/")
    page.evaluate("window.isNotReloaded = true")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("shag", delay=30)
    expect(page.locator(".hit")).to_have_count(2)
    expect(page.locator(".hit mark").first).to_have_text(re.compile("shag", re.IGNORECASE))
    expect(page.locator("#q")).to_be_focused()
    assert is_unreloaded(page)
    assert page.title() == "shag · Search · Koda Web"
    page.locator(".facets").get_by_role("link", name="diver").click()
    expect(page.locator(".hit")).to_have_count(1)
    assert {"q=shag", "agent=diver"} <= set(page.url.partition("?")[2].split("&"))
    page.locator(".hit a").first.click()
    message = page.locator(f"#message-{wanted}")
    expect(message).to_be_in_viewport()
    expect(message.locator("strong")).to_have_text("shag")
    page.go_back()
    expect(page.locator(".hit")).to_have_count(1)


@pytest.mark.parametrize(("path", "row"), [("/search/", ".hit a"), ("/sessions/", ".session .title")])
def test_a_click_on_what_was_just_found_opens_it_however_slow_the_finger(
    person: Person, agent: Agent, path: str, row: str
):
    agent.start("Spoonbill")
    look_again(person.open("/search/?q=spoonbill"), "Search", ".hit")
    page = person.open(path)
    page.locator("#q").press_sequentially("spoonbill")
    page.wait_for_url("**q=spoonbill**")
    expect(page.locator(row).first).to_have_text("Spoonbill")
    page.locator(row).first.click(delay=700)  # the field loses the focus as the button goes down
    expect(page.locator("h1")).to_have_text("Spoonbill")


def test_figures_are_those_of_the_agent_that_is_chosen_and_charts_have_words(person: Person, agent: Agent):
    session = agent.start("Ledger", agent_name="bursar", project_root="/w/counting-house")
    agent.say(session, "Added up", agent_name="bursar", usage={"prompt_tokens": 1234, "completion_tokens": 56})
    page = person.open("/figures/?days=7")
    page.get_by_label("Agent", exact=True).select_option("bursar")
    page.get_by_role("button", name="Show").click()
    look_again(page, "Show", "td:has-text('1,234')")
    assert "agent=bursar" in page.url
    expect(page.locator(".totals > div", has_text="Sessions begun")).to_contain_text("1")
    row = page.locator("tr", has=page.get_by_role("rowheader", name="bursar")).or_(
        page.locator("tr", has_text="bursar")
    )
    expect(row.first).to_contain_text("1,234")
    expect(row.first).to_contain_text("56")
    chart = page.locator("svg[role=img]").first
    expect(chart).to_have_accessible_name(re.compile(r"\w+"))


def test_enter_after_typing_asks_again_and_nothing_is_complained_of(person: Person, agent: Agent):
    page = person.open("/search/")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.locator("#q").fill("harbour")
    asked = page.evaluate("""async () => {
      const form = document.querySelector(".search form");
      let count = 0;
      const both = new Promise((done) => {
        form.addEventListener("htmx:afterRequest", () => (count += 1) === 2 && done());
      });
      for (let nth = 0; nth < 2; nth += 1) htmx.trigger(form, "submit");
      await both;
      return count;
    }""")
    assert asked == 2
    assert said == []


def test_what_was_looked_for_is_on_paper_and_the_key_for_the_field_is_not(person: Person):
    page = person.open("/search/?q=harbour")
    expect(page.locator(".search .find kbd")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator("#q")).to_be_visible()
    expect(page.locator("kbd:visible")).to_have_count(0)
