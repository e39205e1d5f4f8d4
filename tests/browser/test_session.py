"""The session's page: its tabs live, what is looked for is reached, and nobody loses the place or the focus."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser

WIDE = {"viewport": {"width": 1920, "height": 1000}, "permissions": ["clipboard-read", "clipboard-write"]}
PHONE = {"viewport": {"width": 390, "height": 844}}
EDIT = {"file_path": "a.py", "old_string": "one\ntwo", "new_string": "one\n2"}
FOCUSED = "document.activeElement.closest('[id]').id"


def call(identity: str, name: str, **arguments: str) -> dict[str, str]:
    return {"id": identity, "function_name": name, "arguments": json.dumps(arguments)}


def test_tabs_and_header_count_on_and_a_turn_gets_its_lanes(person: Person, agent: Agent):
    session = agent.start("A day of work")
    page = person.open_live(f"/sessions/{session}/?tab=timeline")
    expect(page.locator(".empty h2")).to_have_text("No turn yet")
    page.locator("#tab-usage").focus()
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    agent.say(session, "Please", role="user")
    agent.tell(session, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {}, "turn_id": "t"})
    expect(page.locator("#tab-timeline span")).to_have_text("1")
    expect(page.locator(".turns tbody tr")).to_have_count(1)
    expect(page.locator(".turns [data-kind=tool]")).to_be_attached()
    assert page.evaluate(FOCUSED) == "tab-usage"
    usage = {"prompt_tokens": 1200, "completion_tokens": 34}
    agent.say(session, "Done", usage=usage)
    expect(page.locator("#facts")).to_contain_text("1,234")
    expect(page.locator("#tab-transcript span")).to_have_text("2")
    assert is_unreloaded(page)
    for tab in ("usage", "todo", "files", "metadata", "events"):
        page.locator(f"#tab-{tab}").click()
        expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-current", "page")
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_slash_finds_what_is_not_loaded_and_leads_there(person: Person, agent: Agent):
    session = agent.start("A long search")
    agent.say_all(session, ["the needle", *(f"hay {number}" for number in range(600))])
    page = person.open_live(f"/sessions/{session}/")
    assert page.get_by_text("the needle").count() == 0
    page.keyboard.press("/")
    expect(page.locator('link[href*="found"]')).to_have_count(1)
    expect(page.locator("#found")).to_be_hidden()
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("needle")
    expect(page.locator("#found .hit")).to_have_count(1)
    expect(page.locator("#found")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#found .hit")).to_have_attribute("aria-current", "true")
    page.keyboard.press("Enter")
    expect(page.locator(".message", has_text="the needle")).to_be_in_viewport()
    assert page.evaluate("CSS.highlights.get('found').size") == 1


@pytest.mark.parametrize("person", [WIDE], indirect=True, ids=["wide"])
def test_a_change_stands_side_by_side_and_a_command_is_copied(person: Person, agent: Agent):
    session = agent.start("Edits")
    agent.say(session, "I edit.", tool_calls=[call("e", "Edit", **EDIT)])
    agent.say(session, "I run.", tool_calls=[call("b", "Bash", command="cargo test")])
    page = person.open_live(f"/sessions/{session}/")
    page.locator(".tool", has_text="a.py").locator("summary").click()
    expect(page.locator(".sides")).to_be_visible()
    expect(page.locator(".diff:not(.sides)")).to_be_hidden()
    page.keyboard.press("k")
    page.keyboard.press("o")
    expect(page.locator(".args pre")).to_have_text("cargo test")
    page.keyboard.press("y")
    expect(page.locator("#status")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "cargo test"
    page.locator(".args pre").hover()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".toast")).to_have_count(2)


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_on_a_phone_a_change_is_one_line_under_the_other(person: Person, agent: Agent):
    session = agent.start("Edits on a phone")
    agent.say(session, "I edit.", tool_calls=[call("e", "Edit", **EDIT)])
    page = person.open_live(f"/sessions/{session}/")
    page.locator(".tool summary").click()
    expect(page.locator(".diff:not(.sides)")).to_be_visible()
    expect(page.locator(".sides")).to_be_hidden()


def test_what_is_open_and_has_the_focus_stays_so_while_the_session_goes_on(person: Person, agent: Agent):
    session = agent.start("Going on")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    agent.say(session, "I run.", tool_calls=[call("b", "Bash", command="cargo test")])
    page = person.open_live(f"/sessions/{session}/")
    tool = page.locator(".tool")
    tool.locator("summary").click()
    expect(page.locator(".args pre")).to_have_text("cargo test")
    tool.locator("summary").focus()
    focused = page.evaluate(FOCUSED)
    agent.tell(session, {"type": "tool_call_start", "id": "b", "name": "Bash", "args": {}, "turn_id": "t"})
    agent.tell(session, {"type": "tool_call_result", "id": "b", "name": "Bash", "output": "", "turn_id": "t"})
    agent.say(session, "all green", role="tool", tool_call_id="b")
    for number in range(5):
        agent.say(session, f"and on {number}")
    expect(page.locator(".message").last).to_contain_text("and on 4")
    expect(tool).to_contain_text("1 line")
    expect(tool).to_have_attribute("open", "")
    assert page.evaluate(FOCUSED) == focused
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
