"""What a person sees while agents work: without a reload, once each, in order, whatever the network does."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Agent, Person, Prepared, agent_at, browsing, is_unreloaded
from tests.conftest import Server, launch, stop_server
from tests.tunnel import Tunnel

pytestmark = [pytest.mark.browser, pytest.mark.slow]

START = {"type": "turn_start", "turn_id": "t1"}
END = {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "complete"}}
ASKS = {"type": "approval_request", "id": "r1", "tool_name": "Bash", "detail": "rm -rf dist/", "preview": None}


def test_a_message_posted_through_the_api_appears_without_a_reload(person: Person, agent: Agent):
    session = agent.start("A first session")
    wall, page = person.open_live("/"), person.open_live(f"/sessions/{session}/")
    agent.say(session, "Please find the **flaky** test", role="user")
    agent.say(session, "It is `test_login`: it waits for nothing.")
    expect(page.locator("#transcript .message")).to_have_count(2)
    expect(page.locator("#transcript strong")).to_have_text("flaky")
    expect(wall.locator(".session", has_text="A first session").locator(".now")).to_contain_text("test_login")
    assert is_unreloaded(page)
    assert is_unreloaded(wall)


def test_a_turn_can_be_stopped_while_it_runs_and_only_then(person: Person, agent: Agent):
    session = agent.start("A turn to stop")
    page = person.open_live(f"/sessions/{session}/")
    stop = page.get_by_role("button", name="Stop turn")
    expect(stop).to_have_count(0)
    agent.tell(session, START)
    expect(stop).to_be_visible(timeout=20_000)
    stop.click()
    expect(page.locator("#now")).to_contain_text("Stop by owner requested")
    (command,) = agent.commands(session)
    assert command["command"]["type"] == "interrupt"
    agent.tell(session, END)
    expect(page.locator("#verdict")).to_have_attribute("data-state", "resting")
    expect(stop).to_have_count(0, timeout=20_000)
    assert is_unreloaded(page)


def test_the_next_prompt_can_be_written_once_the_agent_can_be_told_something(person: Person, agent: Agent):
    session = agent.start("An agent that begins to speak")
    page = person.open_live(f"/sessions/{session}/")
    field = page.get_by_label("Next prompt")
    expect(field).to_be_hidden()
    height = page.evaluate("document.documentElement.scrollHeight")
    agent.tell(session, START)
    expect(field).to_be_visible(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollHeight") == height  # else who follows the end loses it
    field.fill("Then run the tests")
    agent.say(session, "Meanwhile")
    expect(page.locator("#transcript .message")).to_have_count(1)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#now")).to_contain_text("Then run the tests")
    (command,) = agent.commands(session)
    assert command["command"]["type"] == "user_prompt"
    assert is_unreloaded(page)


def test_who_was_offline_gets_what_was_missed_once_and_in_order(
    chromium: Browser, served: Server, agent: Agent, request: pytest.FixtureRequest
):
    session = agent.start("Through a tunnel")
    agent.say(session, "before", role="user")
    tunnel = Tunnel(served.port)
    try:
        with browsing(chromium, served, request, url=tunnel.url) as person:
            person.come_in()
            wall, page = person.open_live("/"), person.open_live(f"/sessions/{session}/")
            messages = page.locator("#transcript .message .prose")
            with person.away():
                person.context.set_offline(True)
                tunnel.cut()
                for tab in (wall, page):
                    expect(tab.locator("#fresh")).to_contain_text("offline, again in")
                for number in range(3):
                    agent.say(session, f"meanwhile {number}")
                expect(messages).to_have_text(["before"])
                tunnel.mend()
                person.context.set_offline(False)
                expect(messages).to_have_text(["before", "meanwhile 0", "meanwhile 1", "meanwhile 2"], timeout=20_000)
                expect(page.locator("#fresh")).to_have_attribute("data-state", "live")
            agent.say(session, "after")
            expect(messages).to_have_text(["before", *(f"meanwhile {number}" for number in range(3)), "after"])
            expect(wall.locator(".session", has_text="Through a tunnel").locator(".now")).to_contain_text("after")
            assert is_unreloaded(page)
            assert is_unreloaded(wall)
    finally:
        tunnel.close()


def test_who_was_offline_sees_when_the_agent_was_heard_of_meanwhile(
    chromium: Browser, served: Server, agent: Agent, request: pytest.FixtureRequest
):
    session = agent.start("A beat in between")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    tunnel = Tunnel(served.port)
    try:
        with browsing(chromium, served, request, url=tunnel.url) as person:
            person.come_in()
            page = person.open_live(f"/sessions/{session}/")
            sign = page.locator("#verdict time").last
            with person.away():
                person.context.set_offline(True)
                tunnel.cut()
                expect(page.locator("#fresh")).to_contain_text("offline, again in")
                before = sign.get_attribute("datetime")
                agent.beat(session)
                tunnel.mend()
                person.context.set_offline(False)
                expect(sign).not_to_have_attribute("datetime", before or "", timeout=20_000)
    finally:
        tunnel.close()


def test_a_restart_of_the_server_loses_nothing(
    chromium: Browser, serve: Callable[..., Server], prepared: Prepared, request: pytest.FixtureRequest
):
    server = serve()
    agent = agent_at(server, prepared.key)
    try:
        with browsing(chromium, server, request) as person:
            person.come_in()
            session = agent.start("Across a restart")
            wall, page = person.open_live("/"), person.open_live(f"/sessions/{session}/")
            agent.say(session, "one")
            expect(page.locator("#transcript .message")).to_have_count(1)
            with person.away():
                stop_server(server)
                server = launch(server.data_dir, server.environment, port=server.port)
                for text in ("two", "three", "four"):
                    agent.say(session, text)
                for tab in (wall, page):
                    # Also when it has just come back by itself, and the button is hidden again.
                    tab.locator("button", has_text=re.compile("^Now$")).first.dispatch_event("click")
                    expect(tab.locator("#fresh")).to_have_attribute("data-state", "live", timeout=40_000)
            said = page.locator("#transcript .message .prose")
            expect(said).to_have_text(["one", "two", "three", "four"])
            expect(wall.locator(".session .now")).to_contain_text("four")
            assert is_unreloaded(page)
            assert is_unreloaded(wall)
    finally:
        agent.client.close()
        stop_server(server)


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
    page = person.open_live(f"/sessions/{session}/")
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
    agent.obey(command)
    expect(page.locator(".commands")).to_contain_text("obeyed")
    assert is_unreloaded(page)


def test_text_grows_while_it_is_written_and_the_reader_keeps_the_place(person: Person, agent: Agent):
    session = agent.start("A long answer")
    for number in range(40):
        agent.say(session, f"paragraph {number}\n\n" + "words " * 80)
    page = person.open_live(f"/sessions/{session}/")
    agent.tell(session, START, {"type": "text_delta", "text": "It grows"})
    expect(page.locator("#now .prose")).to_have_text("It grows")
    agent.tell(session, {"type": "text_delta", "text": " and grows"})
    expect(page.locator("#now .prose")).to_have_text("It grows and grows")
    page.evaluate("scrollTo(0, 1000)")
    expect(page.locator("#transcript .message").last).not_to_be_in_viewport()
    before = page.evaluate("scrollY")
    agent.say(session, "new one")
    agent.say(session, "new two")
    pill = page.locator("#pill")
    expect(pill).to_contain_text("2 new")
    assert abs(page.evaluate("scrollY") - before) < 4
    pill.click()
    expect(page.locator("#transcript .message").last).to_be_in_viewport()


def test_a_write_of_another_process_shows_on_the_open_wall_within_two_seconds(
    person: Person, served: Server, tmp_path: Path
):
    wall = person.open_live("/")
    line = {
        "type": "user",
        "uuid": "u1",
        "sessionId": "11111111-2222-4333-8444-555555555555",
        "cwd": "/w/shop",
        "timestamp": "2026-02-01T10:00:00.000Z",
        "message": {"role": "user", "content": "Imported while you look"},
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(line) + "\n")
    served.manage("importsessions", str(tmp_path), "--user", "owner")
    written_at = time.monotonic()
    expect(wall.locator(".session", has_text="Imported while you look")).to_be_visible()
    assert time.monotonic() - written_at < 2
    assert is_unreloaded(wall)


def test_title_facts_ribbon_and_reason_of_an_open_page_follow_what_changes(person: Person, agent: Agent):
    session = agent.start("Before", model="first-model")
    page = person.open_live(f"/sessions/{session}/")
    facts = page.locator("#facts")
    expect(facts).to_contain_text("first-model")
    expect(page.locator("#ribbon")).to_be_hidden()

    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    expect(page.locator("#ribbon rect[data-state=live]")).to_have_count(1, timeout=15_000)
    expect(page.locator("#reason")).to_contain_text("looked at again at")

    changed = agent.client.patch(
        f"/api/v1/sessions/{session}", json={"title": "After", "model": "other", "mode": "plan"}
    )
    assert changed.status_code == 200
    expect(page.locator("h1")).to_have_text("After", timeout=15_000)
    expect(facts).to_contain_text("other")
    expect(facts).to_contain_text("plan")
    agent.tell(session, END | {"turn_id": "t"})
    expect(page.locator("#ribbon rect[data-state=resting]")).not_to_have_count(0, timeout=15_000)
    expect(page.locator("#reason")).to_be_hidden()
    assert is_unreloaded(page)
