"""What a person sees while agents work: without a reload, once each, in order, whatever the network does."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person, agent_at
from tests.conftest import Server, launch, start_server, stop_server

pytestmark = pytest.mark.browser

START = {"type": "turn_start", "turn_id": "t1"}
END = {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "complete"}}
ASKS = {"type": "approval_request", "id": "r1", "tool_name": "Bash", "detail": "rm -rf dist/", "preview": None}


def mark(page: Page) -> None:
    """Leave a mark that a reload would take away."""
    expect(page.locator(".fresh")).to_have_attribute("data-state", "live")
    page.evaluate("window.notReloaded = true")


def is_unreloaded(page: Page) -> bool:
    return bool(page.evaluate("window.notReloaded === true"))


def test_a_message_posted_through_the_api_appears_without_a_reload(person: Person, agent: Agent):
    session = agent.start("A first session")
    wall, page = person.open("/"), person.open(f"/sessions/{session}/")
    mark(wall)
    mark(page)
    agent.say(session, "Please find the **flaky** test", role="user")
    agent.say(session, "It is `test_login`: it waits for nothing.")
    expect(page.locator("#transcript .message")).to_have_count(2)
    expect(page.locator("#transcript strong")).to_have_text("flaky")
    expect(wall.locator(".session", has_text="A first session").locator(".now")).to_contain_text("test_login")
    assert is_unreloaded(page)
    assert is_unreloaded(wall)


def test_who_was_offline_gets_what_was_missed_once_and_in_order(person: Person, agent: Agent):
    session = agent.start("Through a tunnel")
    agent.say(session, "before", role="user")
    page = person.open(f"/sessions/{session}/")
    mark(page)
    person.is_away = True  # a browser complains of a network that is gone
    person.context.set_offline(True)
    for number in range(3):
        agent.say(session, f"meanwhile {number}")
    person.context.set_offline(False)
    messages = page.locator("#transcript .message .prose")
    expect(messages).to_have_text(["before", "meanwhile 0", "meanwhile 1", "meanwhile 2"], timeout=20_000)
    agent.say(session, "after")
    expect(messages).to_have_count(5)
    assert is_unreloaded(page)


def test_a_restart_of_the_server_loses_nothing(chromium, tmp_path):
    server = start_server(tmp_path / "data")
    context = chromium.new_context()
    try:
        agent, person = agent_at(server), Person(context, server)
        person.sign_in()
        session = agent.start("Across a restart")
        page = person.open(f"/sessions/{session}/")
        mark(page)
        agent.say(session, "one")
        expect(page.locator("#transcript .message")).to_have_count(1)
        person.is_away = True
        stop_server(server)
        server = launch(server.data_dir, server.environment, port=server.port)
        agent.say(session, "two")
        agent.say(session, "three")
        expect(page.locator("#transcript .message .prose")).to_have_text(["one", "two", "three"], timeout=45_000)
        assert is_unreloaded(page)
    finally:
        context.close()
        agent.client.close()
        stop_server(server)


def test_a_session_goes_through_the_bands_and_the_focus_stays(person: Person, agent: Agent):
    wall = person.open("/")
    mark(wall)
    session = agent.start("Clean the release build")
    agent.tell(session, START, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "make dist"}})
    row = wall.locator(".session", has_text="Clean the release build")
    expect(wall.locator("[data-band=running] .session", has_text="Clean the release build")).to_be_visible()
    expect(row.locator(".now")).to_contain_text("make dist")
    agent.tell(session, ASKS)
    expect(wall.locator(".band[data-band=needs] .session", has_text="Clean the release build")).to_be_visible()
    expect(wall.locator("#counters")).to_contain_text("1 needs you")
    row.get_by_role("link", name="Clean the release build").focus()
    agent.tell(session, {"type": "info", "message": "still here"})
    expect(row.locator(".title")).to_be_focused()
    row.get_by_role("button", name="Approve").click()
    expect(wall.locator(".toast", has_text="Approved.")).to_be_visible()
    [command] = agent.commands(session)
    assert command["command"] == {"type": "approval_response", "id": "r1", "decision": {"decision": "approve"}}
    wall.mouse.move(5, 5)
    wall.locator("body").click(position={"x": 700, "y": 20})
    agent.tell(session, {"type": "tool_call_result", "id": "c", "name": "Bash", "output": "ok"}, END)
    expect(wall.locator(".band[data-band=recent] .session", has_text="Clean the release build")).to_be_visible()
    assert is_unreloaded(wall)


def test_an_approval_is_answered_on_the_session_page_and_its_way_is_told(person: Person, agent: Agent):
    session = agent.start("Serve the docs")
    preview = {
        "kind": "Edit",
        "path": "netlify.toml",
        "replacements": [
            {"index": 0, "total": 1, "start_line": 3, "old_lines": ["a = 1"], "new_lines": ["a = 2", "b = 3"]}
        ],
        "truncated_count": 0,
    }
    page = person.open(f"/sessions/{session}/")
    mark(page)
    agent.tell(session, START, {**ASKS, "tool_name": "Edit", "detail": "netlify.toml", "preview": preview})
    card = page.locator(".ask")
    expect(card.locator(".diff .add")).to_have_count(2)
    card.get_by_label("Why not").fill("only the first line")
    card.get_by_role("button", name="Deny with this").click()
    expect(page.locator(".commands")).to_contain_text("Denied: “only the first line”")
    expect(page.locator(".commands")).to_contain_text("requested")
    [command] = agent.commands(session)
    assert command["command"]["decision"] == {"decision": "reject_with_feedback", "feedback": "only the first line"}
    expect(page.locator(".commands")).to_contain_text("delivered")
    expect(card).to_have_count(0)
    agent.client.post(f"/api/v1/commands/{command['id']}/ack", json={"obeyed": True}).raise_for_status()
    expect(page.locator(".commands")).to_contain_text("obeyed")
    assert is_unreloaded(page)


def test_text_grows_while_it_is_written_and_the_reader_keeps_the_place(person: Person, agent: Agent):
    session = agent.start("A long answer")
    for number in range(40):
        agent.say(session, f"paragraph {number}\n\n" + "words " * 80)
    page = person.open(f"/sessions/{session}/")
    mark(page)
    agent.tell(session, START, {"type": "text_delta", "text": "It grows"})
    expect(page.locator("#now .prose")).to_have_text("It grows")
    agent.tell(session, {"type": "text_delta", "text": " and grows"})
    expect(page.locator("#now .prose")).to_have_text("It grows and grows")
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -3000)
    expect(page.locator("#message-none")).to_have_count(0)
    before = page.evaluate("scrollY")
    agent.say(session, "new one")
    agent.say(session, "new two")
    pill = page.locator("#pill")
    expect(pill).to_contain_text("2 new")
    assert abs(page.evaluate("scrollY") - before) < 4
    pill.click()
    expect(page.locator("#transcript .message").last).to_be_in_viewport()


def test_a_write_of_another_process_shows_on_the_open_wall(person: Person, served: Server, tmp_path):
    wall = person.open("/")
    mark(wall)
    line = (
        '{"type":"user","uuid":"u1","sessionId":"11111111-2222-4333-8444-555555555555","cwd":"/w/shop",'
        '"timestamp":"2026-02-01T10:00:00.000Z","message":{"role":"user","content":"Imported while you look"}}'
    )
    (tmp_path / "one.jsonl").write_text(line + "\n")
    served.manage("importsessions", str(tmp_path / "one.jsonl"), "--user", "owner")
    expect(wall.locator(".session", has_text="Imported while you look")).to_be_visible()
    assert is_unreloaded(wall)
