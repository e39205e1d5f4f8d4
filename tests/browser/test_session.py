"""The session's page: its tabs live, what is looked for is reached, and nobody loses the place or the focus."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser

WIDE = {"viewport": {"width": 1920, "height": 1000}, "permissions": ["clipboard-read", "clipboard-write"]}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
THUMB = 44
"""Pixels that a thumb needs, both ways."""
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
    for tab in ("checkpoints", "usage", "todo", "files", "metadata", "events"):
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
    expect(page).to_have_url(f"{person.url}/sessions/{session}/?find=needle")
    page.reload()
    expect(page.locator("#q")).to_have_value("needle")
    expect(page.locator("#found .hit")).to_be_in_viewport()
    page.locator("#q").focus()
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


def test_an_answer_that_is_being_typed_outlives_twenty_updates(person: Person, agent: Agent):
    session = agent.start("Typing an answer")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    agent.tell(session, {"type": "ask_user_request", "id": "q", "question": "Which port?", "options": ["80", "8080"]})
    page = person.open_live(f"/sessions/{session}/")
    field = page.locator("#now [name=words]")
    field.focus()
    page.keyboard.type("neither 80 ")
    for number in range(20):
        agent.tell(session, {"type": "text_delta", "text": f"word {number} ", "turn_id": "s"})
        agent.say(session, f"meanwhile {number}", role="system")
    expect(page.locator("#transcript .message").last).to_contain_text("meanwhile 19")
    expect(field).to_be_focused()
    page.keyboard.type("nor 8080")
    expect(field).to_have_value("neither 80 nor 8080")
    page.keyboard.press("Enter")
    expect(page.locator("#now")).to_contain_text("neither 80 nor 8080")
    (command,) = agent.commands(session)
    assert "neither 80 nor 8080" in str(command)
    assert is_unreloaded(page)
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_every_action_of_a_session_has_a_key_that_the_help_tells(person: Person, agent: Agent):
    session = agent.start("All by keys")
    first = agent.say(session, "one")
    agent.say(session, "two")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    page = person.open_live(f"/sessions/{session}/")
    page.keyboard.press("?")
    named = [words for cell in page.locator("#keys dt").all() for words in cell.locator("kbd").all_inner_texts()]
    page.keyboard.press("Escape")
    shown = page.locator(".session-page [aria-keyshortcuts]")
    keys = [str(part.get_attribute("aria-keyshortcuts")).removeprefix("Shift+") for part in shown.all()]
    assert {"r", "S", "V", "e", "f", "c", "D", "p"} <= set(keys) <= set(named)
    for button in page.locator(".actions").locator("a, button").all():
        assert button.get_attribute("aria-keyshortcuts"), button.inner_text()
    page.keyboard.press("r")
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#prompt")).not_to_be_focused()
    page.keyboard.press("S")
    expect(page.locator("#now .commands")).to_contain_text("Stop")
    for key, place in (("]", "tab=timeline"), ("]", "/checkpoints/"), ("[", "tab=timeline"), ("[", f"{session}/")):
        page.keyboard.press(key)
        page.wait_for_url(f"**{place}**")
        expect(page.locator("#fresh")).to_have_attribute("data-state", "live")  # its scripts are there
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("f")
    page.wait_for_url(f"**/fork/?at={first}")
    for key, place in (("e", "export"), ("c", "compact"), ("D", "delete")):
        page.goto(f"{person.url}/sessions/{session}/")
        expect(page.locator("#fresh")).to_have_attribute("data-state", "live")
        page.keyboard.press(key)
        page.wait_for_url(f"**/{place}/")
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_a_request_is_said_shown_by_its_key_and_only_then_answered(person: Person, agent: Agent):
    session = agent.start("Asked while you read")
    agent.say_all(session, [f"line {number}" for number in range(60)])
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    page = person.open_live(f"/sessions/{session}/")
    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "make", "preview": None}
    agent.tell(
        session, ask, {"type": "ask_user_request", "id": "q", "question": "Where?", "options": ["Here", "There"]}
    )
    expect(page.locator("#announce")).to_contain_text("Waits for you")
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("a")
    expect(page.locator(".ask[aria-current]")).to_be_in_viewport()
    assert agent.commands(session) == []
    page.keyboard.press("a")
    expect(page.locator("#now .commands")).to_contain_text("Approved")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.locator(".ask[aria-current]")).to_contain_text("Where?")
    page.keyboard.press("2")
    expect(page.locator("#now .commands")).to_contain_text("There")
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_a_thumb_answers_above_the_bars(person: Person, agent: Agent):
    session = agent.start("Thumbed")
    agent.say_all(session, [f"line {number}" for number in range(30)])
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    preview = {
        "kind": "Edit", "path": "a.py", "truncated_count": 0,
        "replacements": [{"index": 1, "total": 1, "start_line": 1, "old_lines": ["a"], "new_lines": ["b"]}],
    }  # fmt: skip
    ask = {"type": "approval_request", "id": "r", "tool_name": "Edit", "detail": "a.py", "preview": preview}
    agent.tell(session, ask, {"type": "loop_cap_reached", "cap": 200, "recent_tools": ["Bash"]})
    page = person.open_live(f"/sessions/{session}/")
    page.locator(".verdict").get_by_role("link", name="Answer").tap()
    bars = min(page.locator(f"{bar}").bounding_box()["y"] for bar in (".composer", ".top nav"))
    for name in ("Approve", "Deny", "Deny with this", "Go on for 50", "Go on for 200", "Stop"):
        button = page.locator("#now").get_by_role("button", name=name, exact=True)
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= THUMB, name
        assert box["width"] >= THUMB, name
        assert box["y"] + box["height"] <= bars, name
    page.locator("#now").get_by_role("button", name="Approve", exact=True).tap()
    expect(page.locator("#now .commands")).to_contain_text("Approved")
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


@pytest.mark.parametrize("person", [PHONE], indirect=True, ids=["phone"])
def test_on_a_phone_all_figures_of_a_turn_are_in_sight(person: Person, agent: Agent):
    session = agent.start("Turns on a phone")
    usage = {"prompt_tokens": 1234, "completion_tokens": 56}
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    agent.say(session, "Please do", role="user")
    agent.say(session, "Done", usage=usage)
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    page = person.open_live(f"/sessions/{session}/?tab=timeline")
    for tab, count in (("timeline", 9), ("usage", 7)):
        page.goto(f"{person.url}/sessions/{session}/?tab={tab}")
        cells = page.locator("#part table").last.locator("tbody tr").first.locator("> *")
        assert cells.count() == count
        for cell in cells.all():
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        boxes = [cell.bounding_box() for cell in cells.all()]
        rows = {round(box["y"]) for box in boxes if box is not None}
        assert len(rows) >= 3, "they stand below one another, not one over the other"
    expect(page.locator("tbody [data-label='Cache written']").first).to_be_visible()


@pytest.mark.parametrize("person", [WIDE], indirect=True, ids=["wide"])
def test_the_line_of_the_rail_ends_with_the_page_and_a_list_of_places_hides_no_rail(person: Person, agent: Agent):
    session = agent.start("A short session")
    agent.say(session, "the needle", usage={"prompt_tokens": 5, "completion_tokens": 5})
    page = person.open_live(f"/sessions/{session}/")
    part, foot = page.locator(".transcript-part").bounding_box(), page.locator(".foot").bounding_box()
    assert part is not None
    assert foot is not None
    assert part["y"] + part["height"] == pytest.approx(foot["y"], abs=2)
    agent.say_all(session, [f"needle {number}" for number in range(80)])
    expect(page.locator("#transcript .message").last).to_contain_text("needle 79")
    page.keyboard.press("/")
    page.keyboard.type("needle")
    expect(page.locator("#found .hit").first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    found, rail = page.locator("#found").bounding_box(), page.locator(".rail").bounding_box()
    assert found is not None
    assert rail is not None
    assert rail["y"] >= found["y"] + found["height"] - 1
    page.evaluate("scrollTo(0, 300)")
    moved = page.locator(".rail").bounding_box()
    assert moved is not None
    assert moved["y"] == pytest.approx(rail["y"] - 300, abs=1), "it goes on with the page, where it can be reached"


def test_an_opened_event_shows_its_payload_a_branch_under_the_other(person: Person, agent: Agent):
    session = agent.start("Branches")
    begun = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"deep": {"deeper": [1, 2]}}}
    agent.tell(session, {"type": "turn_start", "turn_id": "t"}, begun)
    page = person.open_live(f"/sessions/{session}/?tab=events")
    page.locator(".event", has_text="tool_call_start").locator("summary").first.click()
    branch = page.locator(".event .json summary", has_text="args").first
    expect(branch).to_be_visible()
    assert branch.evaluate("(summary) => getComputedStyle(summary).display") != "grid"
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_a_prompt_that_is_refused_stays_in_its_field(person: Person, agent: Agent):
    session = agent.start("Told too much")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    agent.beat(session)
    page = person.open_live(f"/sessions/{session}/")
    field = page.locator(".composer textarea")
    for words, left, said in (("x" * 100_001, 100_001, "at most 100,000 characters"), ("Go on", 0, "Sent;")):
        field.fill(words)
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".toast", has_text=said)).to_be_visible()
        assert len(field.input_value()) == left
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})


def test_what_is_new_is_told_above_the_next_prompt_and_the_verdict_is_whole_beside_the_tabs(
    person: Person, agent: Agent
):
    session = agent.start("Told above")
    agent.tell(session, {"type": "turn_start", "turn_id": "t"})
    agent.say_all(session, [f"Line {number}" for number in range(60)])
    command = "make all && " + "pytest -x tests/thing " * 6
    agent.tell(session, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": command}})
    agent.beat(session, phase="tool_running")
    page = person.open_live(f"/sessions/{session}/")
    expect(page.locator(".composer")).to_be_visible()
    page.mouse.move(400, 500)
    page.mouse.wheel(0, -900)
    agent.say(session, "One more")
    expect(page.locator("#pill")).to_be_visible()
    pill, composer = page.locator("#pill").bounding_box(), page.locator(".composer").bounding_box()
    assert pill is not None
    assert composer is not None
    assert pill["y"] + pill["height"] <= composer["y"]
    expect(page.locator("#mini time")).to_be_visible()
    mini, age = page.locator("#mini").bounding_box(), page.locator("#mini time").bounding_box()
    find, tab = page.locator(".tabs > .find").bounding_box(), page.locator("#tab-events").bounding_box()
    assert mini is not None
    assert age is not None
    assert find is not None
    assert tab is not None
    assert age["x"] + age["width"] <= mini["x"] + mini["width"] + 1
    assert mini["x"] + mini["width"] <= find["x"]
    assert tab["x"] + tab["width"] <= mini["x"]
    assert (
        page.evaluate(
            "(() => { const nav = document.getElementById('tabs'); return nav.scrollWidth - nav.clientWidth })()"
        )
        <= 0
    )
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
