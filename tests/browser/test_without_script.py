"""Without JavaScript every page reads and every form works."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("person", [{"java_script_enabled": False}], indirect=True, ids=["no script"]),
]
START = {"type": "turn_start", "turn_id": "t"}


def test_the_wall_shows_and_narrows_its_rows(person: Person, agent: Agent):
    agent.start("Plain paper")
    agent.start("Plain stone")
    wall = person.open("/")
    expect(wall.locator(".session", has_text="Plain paper")).to_be_visible()
    expect(wall.locator("#fresh")).to_be_hidden()
    wall.locator("#q").fill("Plain paper")
    wall.get_by_role("button", name="Filter").click()
    expect(wall.locator(".session")).to_have_count(1)
    wall.get_by_role("link", name="Show all").click()
    expect(wall.locator(".session", has_text="Plain stone")).to_be_visible()


def test_a_session_reads_to_its_beginning_and_its_calls_and_events_open(person: Person, agent: Agent):
    session = agent.start("Read to the beginning")
    agent.say_all(session, [f"line {number}" for number in range(240)])
    call = {"id": "c1", "function_name": "Bash", "arguments": '{"command": "make paper"}'}
    agent.say(session, "I make it.", tool_calls=[call])
    agent.say(session, "paper is made", role="tool", tool_call_id="c1")
    page = person.open(f"/sessions/{session}/")
    tool = page.locator(".tool", has_text="make paper")
    tool.locator("summary").click()
    tool.get_by_role("link", name="Input and output").click()
    expect(page.locator("pre.output")).to_have_text(re.compile("paper is made"))
    page.get_by_role("link", name="Read to the beginning").click()
    page.goto(f"{person.server.url}/sessions/{session}/")
    for _ in range(5):
        older = page.get_by_role("link", name="Older messages")
        if not older.count():
            break
        older.click()
    expect(page.locator("#transcript .message").first).to_contain_text("line 0")
    page.get_by_role("link", name="Newer messages").click()
    page.get_by_role("navigation", name="Parts of this session").get_by_role("link", name="Events").click()
    event = page.locator(".event").last
    event.locator("summary").click()
    event.get_by_role("link", name="Payload").click()
    expect(page.locator("pre.output")).to_be_visible()


def test_a_session_is_renamed_shown_to_all_and_deleted(person: Person, agent: Agent):
    session = agent.start("Old name")
    page = person.open(f"/sessions/{session}/")
    page.locator(".rename > summary").click()
    page.get_by_label("Title").fill("New name")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("h1")).to_have_text("New name")
    page.get_by_role("button", name="Make public").click()
    expect(page.locator(".facts")).to_contain_text("public, by link")
    page.get_by_role("button", name="Make private").click()
    expect(page.locator(".facts")).not_to_contain_text("public")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete 0 messages").click()
    expect(page.locator(".toast")).to_contain_text("Deleted “New name”")
    expect(page.locator(".session", has_text="New name")).to_have_count(0)


def test_requests_are_answered_and_agents_are_told(person: Person, agent: Agent):
    session = agent.start("Ask me on paper")
    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "rm dist", "preview": None}
    agent.tell(session, START, ask)
    page = person.open(f"/sessions/{session}/")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".toast")).to_contain_text("Approved.")
    page.get_by_label("Next prompt").fill("and then the attic")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".toast")).to_contain_text("Sent")
    page.get_by_role("button", name="Stop turn").click()
    expect(page.locator(".toast")).to_contain_text("Asked to stop.")
    taken = [command["command"]["type"] for command in agent.commands(session)]
    assert taken == ["approval_response", "user_prompt", "interrupt"]
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "cancelled"}})


def test_the_look_is_chosen_and_alerts_are_set(person: Person):
    page = person.open("/account/alerts/")
    page.locator(".me > summary").click()
    page.get_by_label("Theme").select_option("dark")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_label("Quiet for").last.fill("7")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".toast")).to_contain_text("Kept.")
    page.locator(".me > summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
