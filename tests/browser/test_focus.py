"""Whoever works with the keyboard keeps the focus, and half a word, whatever arrives meanwhile; and is told little."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SCRIPT = (Path(__file__).parent / "held.js").read_text()
START = {"type": "turn_start", "turn_id": "t"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}
EDIT = {
    "kind": "Edit",
    "path": "gate.py",
    "replacements": [{"index": 0, "total": 1, "start_line": 3, "old_lines": ["a = 1"], "new_lines": ["a = 2"]}],
    "truncated_count": 0,
}
ASKS = {"type": "approval_request", "id": "r", "tool_name": "Edit", "detail": "gate.py", "preview": EDIT}
QUESTION = {"type": "ask_user_request", "id": "q", "question": "Which gate?", "options": ["North", "South"]}

Happen = Callable[[int], None]
"""Let something happen for the nth time and wait until the page shows it."""


def furnished(agent: Agent, title: str) -> str:
    """Return a session that runs and has something for each tab."""
    session = agent.start(title, agent_name="koda", project_root="/w/grounds")
    agent.say(session, "Mend the gate", role="user")
    call = {"id": "c", "function_name": "Bash", "arguments": '{"command": "ls"}'}
    text = "It is **open**:\n\n```python\nprint(1)\n```\n\n[there](https://example.org)"
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    agent.say(session, text, thinking="Which gate?", tool_calls=[call], usage=usage)
    agent.say(session, "gate.py", role="tool", tool_call_id="c")
    agent.put(session, "todo", {"content": "- [x] look\n- [ ] mend"})
    agent.put(session, "metadata/note", {"value": "oak"})
    agent.put(session, "files", {"path": "/w/gates/gate.py"})
    agent.tell(session, START)
    return session


def begin(agent: Agent, session: str, number: int) -> None:
    """Go on: a call that is still open when the next begins."""
    command = {"command": f"step {number}"}
    agent.tell(session, {"type": "tool_call_start", "id": f"s{number}", "name": "Bash", "args": command})


def assert_held(page: Page, within: str, happen: Happen, *, least: int) -> None:
    """Hold a control of each kind while something happens, and lose none of them."""
    count = page.evaluate(f"{_SCRIPT}.gather({within!r})")
    lost = []
    held = 0
    for number in range(count):
        if not page.evaluate(f"{_SCRIPT}.hold({number})"):
            continue
        held += 1
        happen(number)
        lost += [words] if (words := page.evaluate(f"{_SCRIPT}.lost()")) else []
    assert lost == []
    assert held >= least, "there was something to hold"
    assert is_unreloaded(page)


def test_on_the_wall_nothing_takes_the_focus(person: Person, agent: Agent):
    asking, asked, running = (furnished(agent, f"Lychgate {name}") for name in ("asking", "asked", "running"))
    agent.tell(asking, ASKS)
    agent.tell(asked, QUESTION)
    begin(agent, running, 1000)
    agent.start("Lychgate at rest", project_root="/w/grounds")
    wall = person.open_live("/?q=lychgate")
    rows = {
        session: wall.locator(".session", has=wall.locator(f"a[href*='{session}']")) for session in (asking, running)
    }
    expect(wall.locator(".session")).to_have_count(4)

    def happen(number: int) -> None:
        for session in (asking, asked, running):
            agent.say(session, f"Step {number}")
            begin(agent, session, number)
        agent.start(f"Lychgate {number}", project_root="/w/grounds")
        expect(rows[running].locator(".now")).to_contain_text(f"step {number},")
        expect(wall.locator(".session", has_text=f"Lychgate {number}").first).to_be_attached()

    wall.evaluate(f"{_SCRIPT}.listen()")
    assert_held(wall, "main, .top", happen, least=20)
    assert wall.evaluate("window.said") == [], "what needs nobody is not said"
    agent.tell(running, ASKS)
    expect(wall.locator("#announce")).to_have_text("Lychgate running waits for you")
    for session in (asking, asked, running):
        agent.tell(session, END)


def test_in_the_inbox_nothing_takes_the_focus(person: Person, agent: Agent):
    first, second, third = (furnished(agent, f"Fence {number}") for number in range(3))
    agent.tell(first, ASKS)
    agent.tell(second, QUESTION)
    agent.tell(third, {"type": "loop_cap_reached", "cap": 50, "recent_tools": ["Bash"]})
    page = person.open_live("/inbox/")
    others = itertools.cycle(furnished(agent, f"Paling {number}") for number in range(3))

    def happen(number: int) -> None:
        for session in (first, second, third):
            agent.say(session, f"Step {number}")
        other = next(others)
        turn = f"t{number}"
        agent.tell(other, START | {"turn_id": turn}, {**ASKS, "id": f"r{number}", "detail": f"plank {number}"})
        card = page.locator("#asks .ask", has_text=f"plank {number} ")
        expect(card.first).to_be_attached()
        agent.tell(other, END | {"turn_id": turn})
        expect(card.first).to_have_attribute("data-state", "resting")

    assert_held(page, "#asks, .top, #bulk", happen, least=10)
    for session in (first, second, third):
        agent.tell(session, END)


def test_in_the_list_nothing_takes_the_focus(person: Person, agent: Agent):
    session = furnished(agent, "Hedge one")
    agent.start("Hedge two", project_root="/w/grounds")
    page = person.open_live("/sessions/?q=hedge")
    row = page.locator(".session", has=page.locator(f"a[href*='{session}']"))

    def happen(number: int) -> None:
        agent.say(session, f"Step {number}")
        begin(agent, session, number)
        expect(row.locator(".now")).to_contain_text(f"step {number},")

    page.evaluate(f"{_SCRIPT}.listen()")
    assert_held(page, "main", happen, least=10)
    assert page.evaluate("window.said") == []
    agent.tell(session, END)


def test_on_a_session_nothing_takes_the_focus(person: Person, agent: Agent):
    session = furnished(agent, "Stile one")
    agent.tell(session, ASKS, QUESTION)
    page = person.open_live(f"/sessions/{session}/")

    def happen(number: int) -> None:
        begin(agent, session, number)
        agent.say(session, f"Step {number}")
        agent.put(session, "todo", {"content": f"- [x] look\n- [ ] mend {number}"})
        agent.put(session, "metadata/note", {"value": f"oak {number}"})
        agent.put(session, "files", {"path": f"/w/gates/{number}"})
        agent.change(session, title=f"Stile {number}, still")
        expect(page.locator("#title")).to_contain_text(f"Stile {number},", timeout=20_000)
        with page.expect_response(lambda answer: "/glance/" in answer.url):
            page.evaluate("htmx.trigger(document.body, 'koda:changed')")  # comes by itself, after three seconds
        expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)

    assert_held(page, "main, .top", happen, least=25)
    agent.tell(session, END)


@pytest.mark.parametrize("tab", ["timeline", "usage", "todo", "files", "metadata", "events"])
def test_on_a_tab_nothing_takes_the_focus(person: Person, agent: Agent, tab: str):
    session = furnished(agent, f"Kissing gate, {tab}")
    agent.tell(session, ASKS)
    page = person.open_live(f"/sessions/{session}/?tab={tab}")

    def happen(number: int) -> None:
        begin(agent, session, number)
        agent.say(session, f"Step {number}", usage={"prompt_tokens": number, "completion_tokens": 2})
        agent.put(session, "todo", {"content": f"- [x] look\n- [ ] mend {number}"})
        agent.put(session, "metadata/note", {"value": f"oak {number}"})
        agent.put(session, "files", {"path": f"/w/gates/{number}"})
        with page.expect_response(lambda answer: "/glance/" in answer.url):
            page.evaluate("htmx.trigger(document.body, 'koda:changed')")
        expect(page.locator("#tab-files")).to_contain_text(str(number + 2))
        expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)

    assert_held(page, "main", happen, least=8)
    agent.tell(session, END)


def test_while_one_waits_for_the_first_signal_nothing_takes_the_focus_or_is_said(person: Person):
    page = person.open("/connect/")
    page.get_by_label("Name").fill("turnstile")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#signal")).to_contain_text("Nothing heard")
    page.evaluate("window.isNotReloaded = true")

    def happen(_number: int) -> None:
        with page.expect_response(lambda answer: "/signal/" in answer.url):
            pass

    page.evaluate(f"{_SCRIPT}.listen()")
    assert_held(page, "section:has(#signal)", happen, least=3)
    assert page.evaluate("window.said") == []


def test_what_leaves_a_long_transcript_gives_its_focus_on(person: Person, agent: Agent):
    session = agent.start("Long walk", project_root="/w/grounds")
    agent.say_all(session, [f"Step {number}" for number in range(500)])
    page = person.open_live(f"/sessions/{session}/")
    # It loads when it comes into view, and by key.
    for go in (page.locator("#older a").focus, lambda: page.keyboard.press("Enter")):
        first = page.locator("#transcript .message").first.get_attribute("id")
        go()
        expect(page.locator("#transcript .message").first).not_to_have_attribute("id", str(first))
        expect(page.locator("#older a")).to_be_focused()
    page.reload()
    page.evaluate("document.querySelector('#transcript .message a').focus({ preventScroll: true })")
    expect(page.locator("#transcript .message a").first).to_be_focused()
    for start in range(0, 400, 50):
        agent.say_all(session, [f"Further {number}" for number in range(start, start + 50)])
        expect(page.locator("#transcript .message").last).to_contain_text(f"Further {start + 49}", timeout=20_000)
    expect(page.locator("#older a")).to_be_focused()
    assert page.locator("#transcript .message").count() <= 400
