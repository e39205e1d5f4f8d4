"""The inbox: what waits stands there at once, is answered in place, and the focus goes on to the next."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser

START = {"type": "turn_start", "turn_id": "t"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def asks(agent: Agent, title: str, detail: str) -> str:
    session = agent.start(title)
    event = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": detail, "preview": None}
    agent.tell(session, START, event)
    return session


def card(page: Page, title: str):
    return page.locator(".ask", has_text=title)


def test_a_request_appears_is_denied_with_a_word_and_settles_in_place(person: Person, agent: Agent):
    page = person.open_live("/inbox/")
    session = asks(agent, "Paint the fence", "paint --red")
    expect(card(page, "Paint the fence")).to_have_attribute("data-state", "needs")
    expect(page.locator("#announce")).to_contain_text("Paint the fence waits: May I run")
    expect(page).to_have_title(re.compile(r"^\d+ waits? · Inbox"))
    card(page, "Paint the fence").get_by_label("Why not").fill("green, please")
    card(page, "Paint the fence").get_by_role("button", name="Deny with this").click()
    expect(card(page, "Paint the fence")).to_have_attribute("data-state", "resting")
    expect(card(page, "Paint the fence")).to_contain_text("Denied: “green, please” by owner, not fetched yet")
    (command,) = agent.commands(session)
    expect(card(page, "Paint the fence")).to_contain_text("delivered")
    agent.obey(command)
    expect(card(page, "Paint the fence")).to_contain_text("obeyed")
    agent.tell(session, END)
    assert is_unreloaded(page)
    page.reload()
    expect(card(page, "Paint the fence")).to_have_count(0)
    expect(page.locator("#answered tr", has_text="Paint the fence")).to_contain_text("obeyed")


def test_keys_answer_the_marked_request_and_no_other(person: Person, agent: Agent):
    first = asks(agent, "First fence", "a")
    second = asks(agent, "Second fence", "b")
    page = person.open_live("/inbox/")
    for _ in range(page.locator(".ask").count()):
        page.keyboard.press("j")
        if "First fence" in page.locator(".ask[aria-current]").inner_text():
            break
    page.keyboard.press("a")
    expect(card(page, "First fence")).to_contain_text("Approved by owner")
    page.keyboard.press("a")
    expect(card(page, "Second fence")).to_have_attribute("data-state", "needs")
    page.keyboard.press("j")
    page.keyboard.press("d")
    expect(card(page, "Second fence")).to_contain_text("Denied by owner")
    for session in (first, second):
        agent.tell(session, END)


def test_the_focus_goes_to_the_next_request_when_somebody_else_answers(person: Person, agent: Agent):
    first = asks(agent, "Held fence", "a")
    second = asks(agent, "Next fence", "b")
    page = person.open_live("/inbox/")
    card(page, "Held fence").get_by_role("button", name="Approve").focus()
    agent.tell(first, END)
    expect(card(page, "Held fence")).to_contain_text("expired")
    expect(card(page, "Next fence").get_by_role("button", name="Approve")).to_be_focused()
    agent.tell(second, END)


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_a_thumb_reaches_the_answers_and_the_menu(person: Person, agent: Agent):
    session = asks(agent, "Small fence", "x" * 300)
    page = person.open("/inbox/")
    for name in ("Approve", "Deny", "Deny with this"):
        box = card(page, "Small fence").get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 40
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    menu = page.get_by_role("navigation", name="Pages", exact=True)
    box = menu.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] == pytest.approx(844, abs=1)
    expect(menu.get_by_role("link", name="Inbox")).to_have_attribute("aria-current", "page")
    agent.tell(session, END)


@pytest.mark.parametrize("person", [{"java_script_enabled": False}], indirect=True, ids=["no script"])
def test_without_script_requests_are_answered_one_by_one_and_together(person: Person, agent: Agent):
    sessions = [asks(agent, f"Paper fence {number}", "x") for number in range(3)]
    page = person.open("/inbox/")
    card(page, "Paper fence 0").get_by_role("button", name="Approve").click()
    expect(page.locator(".toast")).to_contain_text("Approved.")
    expect(page).to_have_url(re.compile("/inbox/$"))
    for number in (1, 2):
        card(page, f"Paper fence {number}").get_by_label("Tick this request").check()
    page.get_by_role("button", name="Deny what is ticked").click()
    expect(page.locator(".toast")).to_contain_text("Denied 2.")
    expect(page.locator("#answered tr", has_text="Paper fence")).to_have_count(3)
    for session in sessions:
        agent.tell(session, END)


def test_other_pages_count_what_waits_and_say_so(person: Person, agent: Agent):
    page = person.open("/search/")
    before = int(page.locator("#inbox-count").get_attribute("data-count") or 0)
    session = asks(agent, "Far fence", "x")
    page.evaluate("htmx.trigger('#to-inbox', 'koda:recount')")  # comes by itself every 15 s
    expect(page.locator("#inbox-count")).to_have_attribute("data-count", str(before + 1))
    expect(page.locator("#announce")).to_contain_text("for you")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/inbox/")
    agent.tell(session, END)


def test_enter_in_the_words_denies_with_them_and_never_approves(person: Person, agent: Agent):
    session = asks(agent, "Typed fence", "a")
    page = person.open_live("/inbox/")
    card(page, "Typed fence").get_by_label("Why not").fill("no, the other one")
    page.keyboard.press("Enter")
    expect(card(page, "Typed fence")).to_contain_text("Denied: “no, the other one”")
    (command,) = agent.commands(session)
    assert "no, the other one" in str(command)
    assert "approve'" not in str(command)
    agent.tell(session, END)


@pytest.mark.parametrize("width", [1024, 1280, 1440])
def test_what_was_answered_is_told_whole_on_a_wide_screen(person: Person, agent: Agent, width: int):
    title = f"A fence of many words at {width} " + "that goes round the whole of the grounds " * 3
    session = asks(agent, title, "mend --all " * 12)
    page = person.open("/inbox/")
    page.set_viewport_size({"width": width, "height": 900})
    card(page, f"words at {width}").get_by_label("Why not").fill("No, not before the rain has gone " * 4)
    page.keyboard.press("Enter")
    expect(card(page, f"words at {width}")).to_contain_text("Denied")
    page.reload()
    table = page.locator("#answered .wide")
    expect(table.locator("tr", has_text=f"words at {width}")).to_be_visible()
    assert table.evaluate("(wide) => wide.scrollWidth - wide.clientWidth") == 0
    agent.tell(session, END)
