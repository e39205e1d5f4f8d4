"""Everything by keys, and a look that stays as it was chosen."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person

pytestmark = pytest.mark.browser


def test_keys_move_over_the_wall_open_a_session_and_lead_back(person: Person, agent: Agent):
    for name in ("one", "two", "three"):
        agent.start(f"Keyed {name}")
    wall = person.open_live("/?q=keyed")
    marked = wall.locator(".session[aria-current]")
    for key, title in (("j", "three"), ("j", "two"), ("j", "one"), ("j", "one"), ("k", "two")):
        wall.keyboard.press(key)
        expect(marked.locator(".title")).to_have_text(f"Keyed {title}")
    wall.keyboard.press("Escape")
    expect(marked).to_have_count(0)
    wall.keyboard.press("j")
    wall.keyboard.press("Enter")
    expect(wall.locator("h1")).to_have_text("Keyed three")
    expect(wall.locator("#fresh")).to_have_attribute("data-state", "live")  # its scripts are there
    wall.keyboard.press("u")
    expect(wall.locator("h1")).to_have_text("Wall")


def test_slash_finds_and_letters_typed_there_are_letters(person: Person, agent: Agent):
    wall = person.open_live("/")
    wall.keyboard.press("/")
    expect(wall.locator("#q")).to_be_focused()
    wall.keyboard.type("jk?")
    expect(wall.locator("#q")).to_have_value("jk?")
    expect(wall.locator(".session[aria-current]")).to_have_count(0)
    expect(wall.locator("#keys")).to_be_hidden()
    wall.keyboard.press("Escape")
    expect(wall.locator("#q")).not_to_be_focused()
    expect(wall.locator("#q")).to_have_value("jk?")  # and so the keys go over what was found


def test_a_question_mark_shows_the_keys_and_escape_hides_them(person: Person):
    wall = person.open_live("/")
    wall.keyboard.press("?")
    expect(wall.locator("#keys")).to_be_visible()
    wall.keyboard.press("Escape")
    expect(wall.locator("#keys")).to_be_hidden()


def test_keys_move_over_messages_and_open_their_calls(person: Person, agent: Agent):
    session = agent.start("Keys in a transcript")
    agent.say(session, "Look at it", role="user")
    call = {"id": "c1", "function_name": "Read", "arguments": '{"path": "src/keys.py"}'}
    agent.say(session, "I read it.", tool_calls=[call])
    agent.say(session, "the keys are here", role="tool", tool_call_id="c1")
    page = person.open_live(f"/sessions/{session}/")
    page.keyboard.press("k")
    expect(page.locator(".message[aria-current]")).to_contain_text("I read it.")
    page.keyboard.press("o")
    expect(page.locator(".tool .inside pre.output")).to_have_text(re.compile("the keys are here"))
    page.keyboard.press("o")
    expect(page.locator(".tool .inside")).to_be_hidden()


def test_theme_and_rows_stay_as_they_were_chosen(person: Person):
    wall = person.open_live("/")
    root = wall.locator("html")
    for select, value, attribute in (("Theme", "dark", "data-theme"), ("Rows", "tight", "data-density")):
        wall.locator(".me > summary").click()
        wall.get_by_label(select).select_option(value)
        expect(root).to_have_attribute(attribute, value)
    another = person.open("/account/alerts/")
    expect(another.locator("html")).to_have_attribute("data-theme", "dark")
    expect(another.locator("html")).to_have_attribute("data-density", "tight")
    ground = another.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", ground)[:3]) < 64


def test_the_ends_of_a_long_session_are_a_key_away_whatever_is_in_the_page(person: Person, agent: Agent):
    session = agent.start("Long by keys")
    agent.say_all(session, [f"Stride {number}" for number in range(500)])
    page = person.open_live(f"/sessions/{session}/")
    messages = page.locator("#transcript .message")
    expect(messages.last).to_contain_text("Stride 499")
    count = messages.count()
    page.keyboard.press("Home")
    expect(page.locator("h1")).to_be_in_viewport()
    page.wait_for_timeout(500)  # what would come by itself has come
    expect(page.locator("h1")).to_be_in_viewport()
    assert messages.count() == count
    page.keyboard.press("g")
    expect(messages.first).to_contain_text("Stride 0")
    expect(messages.first).to_be_in_viewport()
    expect(page.locator("h1")).to_be_in_viewport()
    agent.say(session, "The very newest")
    expect(page.locator("#pill")).to_have_text("1 new ↓")
    page.locator("#pill").click()
    expect(messages.last).to_contain_text("The very newest")
    expect(messages.last).to_be_in_viewport()
    page.keyboard.press("g")
    expect(messages.first).to_contain_text("Stride 0")
    page.keyboard.press("G")
    expect(messages.last).to_contain_text("The very newest")
    expect(messages.last).to_be_in_viewport()


def test_on_the_wall_the_marked_row_is_answered_by_key(person: Person, agent: Agent):
    asks = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "ls", "preview": None}
    capped = {"type": "loop_cap_reached", "cap": 50, "recent_tools": ["Bash"]}
    sessions = {name: agent.start(f"Keystone {name}") for name in ("yes", "no", "stop", "more")}
    for name, session in sessions.items():
        agent.tell(session, {"type": "turn_start", "turn_id": "t"}, capped if name in {"stop", "more"} else asks)
    wall = person.open_live("/?q=keystone")
    wall.keyboard.press("a")
    expect(wall.locator(".toast")).to_have_count(0)  # nothing is marked
    for name, key in (("yes", "a"), ("no", "d"), ("stop", "s"), ("more", "1")):
        wall.locator(".session", has_text=f"Keystone {name}").evaluate("(row) => window.koda.mark(row)")
        wall.keyboard.press(key)
        expect(wall.locator(".session", has_text=f"Keystone {name}").locator(".answers:not(.stop)")).to_have_count(0)
    sent = {name: agent.commands(session)[0] for name, session in sessions.items()}
    assert len({str(command) for command in sent.values()}) == 4
    for session in sessions.values():
        agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_who_answers_with_the_focus_on_a_button_goes_on_at_the_next_row(person: Person, agent: Agent):
    asks = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "ls", "preview": None}
    sessions = [agent.start(f"Lintel {name}") for name in ("one", "two")]
    for session in sessions:
        agent.tell(session, {"type": "turn_start", "turn_id": "t"}, asks)
    wall = person.open_live("/?q=lintel")
    buttons = [
        wall.locator(".session", has_text=f"Lintel {name}").get_by_role("button", name="Deny")
        for name in ("one", "two")
    ]
    buttons[0].focus()
    wall.keyboard.press("Enter")
    expect(buttons[1]).to_be_focused()
    expect(wall.locator("#announce")).to_have_text("Answered: Lintel one")
    assert agent.commands(sessions[1]) == []
    wall.keyboard.press("Enter")
    expect(wall.locator(".session", has_text="Lintel two").locator(".title")).to_be_focused()
    for session in sessions:
        agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_a_ticked_box_takes_no_letters(person: Person, agent: Agent):
    for name in ("one", "two"):
        agent.start(f"Ticked {name}")
    page = person.open_live("/sessions/?q=ticked")
    page.locator(".session .pick").first.click()
    page.keyboard.press("j")
    expect(page.locator(".session[aria-current]")).to_have_count(1)
