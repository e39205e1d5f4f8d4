"""On a phone: no page scrolls sideways, and a thumb reaches what it must."""

import json

import pytest
from playwright.sync_api import expect

from sessions.web.tabs import TABS
from tests.browser.conftest import Agent, Person

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
UNBROKEN = "unbroken-" + "w" * 150
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return "";
  const clips = (element) => getComputedStyle(element).overflowX !== "visible";
  const isClipped = (element) => element && (clips(element) || isClipped(element.parentElement));
  const sticksOut = (element) => element.getBoundingClientRect().right > width + 1 && !isClipped(element.parentElement);
  return [...document.querySelectorAll("body *")].filter(sticksOut)
    .map((element) => `${element.tagName}.${element.className}#${element.id} ${element.textContent.slice(0, 30)}`)
    .join("; ");
}"""
"""The elements that make the page wider than its window."""


@pytest.fixture(scope="module")
def busy(agent: Agent) -> str:
    """A session with all that a page of it can hold, each of it too long."""
    session = agent.start(f"Everything {UNBROKEN}", agent_name=UNBROKEN, project_root=f"/w/{UNBROKEN}", model=UNBROKEN)
    edit = {
        "id": "c1",
        "function_name": "Edit",
        "arguments": json.dumps({"path": UNBROKEN, "old": "x", "new": UNBROKEN}),
    }
    agent.say(session, f"Change it, {UNBROKEN}", role="user")
    table = "| " + " | ".join(UNBROKEN[:30] for _ in range(6)) + " |\n" + "|---" * 6 + "|\n"
    usage = {"prompt_tokens": 123_456, "completion_tokens": 123_456}
    agent.say(session, f"{table}\n\n```\n{UNBROKEN * 3}\n```\n\n# {UNBROKEN}", tool_calls=[edit], usage=usage)
    agent.say(session, UNBROKEN * 4, role="tool", tool_call_id="c1")
    preview = {
        "kind": "Edit",
        "path": UNBROKEN,
        "replacements": [{"index": 1, "total": 1, "start_line": 1, "old_lines": [UNBROKEN], "new_lines": [UNBROKEN]}],
        "truncated_count": 0,
    }
    agent.tell(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "c2", "name": UNBROKEN, "args": {"command": f"make {UNBROKEN}"}},
        {"type": "approval_request", "id": "r", "tool_name": "Edit", "detail": UNBROKEN, "preview": preview},
        {"type": "ask_user_request", "id": "q", "question": UNBROKEN, "options": [UNBROKEN, "Keep"]},
        {"type": "loop_cap_reached", "cap": 200, "recent_tools": [UNBROKEN] * 4},
    )
    return session


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_no_page_scrolls_sideways(person: Person, busy: str):
    page = person.open_live(f"/sessions/{busy}/")
    page.evaluate("for (const details of document.querySelectorAll('details:not(.me)')) details.open = true")
    expect(page.locator("#transcript .tool .inside .diff:not(.sides)")).to_be_visible()
    assert page.evaluate(OVERFLOW) == "", "the session, everything open"
    tool = str(page.locator(".tool .inside").first.get_attribute("hx-get"))
    paths = ["/", "/?q=everything", "/?q=nothing-like-it", *(f"/sessions/{busy}/?tab={tab}" for tab in TABS)]
    paths += [f"/sessions/{busy}/delete/", f"/sessions/{busy}/events/3/", tool, "/account/alerts/"]
    for path in paths:
        page.goto(person.url + path)
        assert page.evaluate(OVERFLOW) == "", path
    with person.away():  # a page of its own for what is not there
        page.goto(f"{person.url}/sessions/00000000-0000-4000-8000-000000000000/")
        assert page.evaluate(OVERFLOW) == ""
    page.goto(person.url + "/")
    page.locator(".me > summary").tap()
    assert page.evaluate(OVERFLOW) == "", "the menu"
    page.get_by_role("button", name="Sign out").tap()
    page.wait_for_url("**/sign-in/**")
    assert page.evaluate(OVERFLOW) == "", "the door"


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_a_thumb_answers_on_the_wall(person: Person, agent: Agent):
    session = agent.start("Under a thumb")
    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "ls", "preview": None}
    agent.tell(session, {"type": "turn_start", "turn_id": "t"}, ask)
    wall = person.open_live("/")
    button = wall.locator(".session", has_text="Under a thumb").get_by_role("button", name="Approve")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 36
    button.tap()
    expect(wall.locator(".toast", has_text="Approved.")).to_be_visible()
    assert len(agent.commands(session)) == 1
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


@pytest.mark.parametrize("path", ["/", "/inbox/", "/sessions/", "session"])
def test_on_a_tablet_the_bar_above_fits_also_while_the_server_is_gone(person: Person, agent: Agent, path: str):
    session = agent.start("On a tablet")
    page = person.open_live(path if path != "session" else f"/sessions/{session}/")
    for width in (768, 800, 860, 927, 928, 960):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOW) == "", width
    page.set_viewport_size({"width": 768, "height": 900})
    badge = page.locator("#fresh")
    badge.evaluate(
        "(badge) => { const say = () => { badge.children[1].textContent = 'offline, again in';"
        " badge.children[2].textContent = '30 s'; badge.children[3].hidden = false; };"
        " say(); document.addEventListener('koda:tick', say); }"
    )
    assert page.evaluate(OVERFLOW) == ""
    assert page.evaluate("document.querySelector('.me').getBoundingClientRect().right <= innerWidth")


@pytest.mark.parametrize("person", [{"viewport": {"width": 768, "height": 900}}], indirect=True, ids=["tablet"])
def test_on_a_tablet_answers_leave_the_waiting_time_in_sight(person: Person, agent: Agent):
    session = agent.start("Asks a tablet")
    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "ls", "preview": None}
    agent.tell(session, {"type": "turn_start", "turn_id": "t"}, ask)
    wall = person.open_live("/")
    row = wall.locator(".session", has_text="Asks a tablet")
    answers = row.locator(".answers").bounding_box()
    assert answers is not None
    for part in (".age", ".silent", ".now", ".title"):
        box = row.locator(part).bounding_box()
        assert box is not None, part
        assert box["y"] + box["height"] <= answers["y"] + 1, part
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_a_long_name_of_a_tool_or_an_agent_breaks_no_line(person: Person, agent: Agent, width: int):
    name = "mcp__" + "server_" * 22 + "_tool"
    session = agent.start("Long names", agent_name="agent-" + "w" * 150)
    call = {"id": "c1", "function_name": name, "arguments": '{"command": "ls -la"}'}
    agent.say(session, "Look", tool_calls=[call])
    begun = {"type": "tool_call_start", "id": "c2", "name": name, "args": {"command": "make"}}
    agent.tell(session, {"type": "turn_start", "turn_id": "t"}, begun)
    page = person.open_live(f"/sessions/{session}/")
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate(OVERFLOW) == ""
    sticking_out = """() => [...document.querySelectorAll('.tool summary > *, #verdict > *, .facts > *')]
      .filter((part) => part.getBoundingClientRect().right > innerWidth || part.getBoundingClientRect().height > 130)
      .map((part) => part.outerHTML.slice(0, 90))"""
    assert page.evaluate(sticking_out) == []
    summary = page.locator("#transcript .tool summary")
    code = summary.locator("code").bounding_box()
    assert code is not None
    assert code["width"] > 40, "what it works on is in sight beside the name"
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
@pytest.mark.parametrize("path", ["/", "/sessions/"])
def test_on_a_phone_every_filter_is_in_sight(person: Person, agent: Agent, path: str):
    agent.start("To be filtered")
    page = person.open(path)
    for control in page.locator(".narrowing :is(select, input)").all():
        box = control.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390, control


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_on_a_phone_a_long_question_takes_the_width_of_its_card(person: Person, agent: Agent):
    session = agent.start("Long question")
    ask = {"type": "ask_user_request", "id": "q", "question": "Shall it stay open over night? " * 6, "options": []}
    agent.tell(session, {"type": "turn_start", "turn_id": "t"}, ask)
    for path in ("/inbox/", f"/sessions/{session}/"):
        page = person.open(path)
        card = page.locator(".ask", has_text="stay open over night")
        box, words = card.bounding_box(), card.locator("header b").bounding_box()
        assert box is not None
        assert words is not None
        assert words["width"] > 0.75 * box["width"], path
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
