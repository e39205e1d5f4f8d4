"""The wall while agents work: rows come, change and go, and nothing moves under a hand."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser

START = {"type": "turn_start", "turn_id": "t"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}
ASKS = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "rm -rf dist/", "preview": None}


def row_of(wall: Page, title: str, *, band: str = "") -> Locator:
    within = f".band[data-band={band}] .session" if band else ".session"
    return wall.locator(within, has_text=title)


def figure(wall: Page, name: str) -> int:
    return int(wall.locator("#counters").get_attribute(f"data-{name}") or 0)


def test_a_row_goes_from_band_to_band_and_the_counters_with_it(person: Person, agent: Agent):
    wall = person.open_live("/")
    running, needs = figure(wall, "running"), figure(wall, "needs")
    session = agent.start("Tidy the attic")
    agent.tell(session, START)
    expect(row_of(wall, "Tidy the attic", band="running")).to_be_visible()
    expect(wall.locator("#counters")).to_have_attribute("data-running", str(running + 1))
    agent.tell(session, ASKS)
    expect(row_of(wall, "Tidy the attic", band="needs")).to_be_visible()
    expect(wall.locator("#counters")).to_have_attribute("data-needs", str(needs + 1))
    expect(wall).to_have_title(re.compile(rf"^{needs + 1} needs? you · "))
    agent.tell(session, END)
    expect(row_of(wall, "Tidy the attic", band="recent")).to_be_visible()
    expect(wall.locator("#counters")).to_have_attribute("data-needs", str(needs))
    expect(row_of(wall, "Tidy the attic")).to_have_count(1)
    assert is_unreloaded(wall)


def test_the_row_under_the_pointer_changes_its_words_and_keeps_its_place(person: Person, agent: Agent):
    session = agent.start("Under a hand")
    agent.tell(session, START)
    wall = person.open_live("/")
    row = row_of(wall, "Under a hand")
    row.hover()
    agent.tell(session, ASKS)
    expect(row).to_have_attribute("data-state", "needs")
    expect(row.get_by_role("button", name="Approve")).to_be_visible()
    expect(row_of(wall, "Under a hand", band="running")).to_have_count(1)
    wall.mouse.move(2, 2)
    expect(row_of(wall, "Under a hand", band="needs")).to_have_count(1)
    agent.tell(session, END)


def test_the_row_that_holds_the_focus_keeps_it_and_its_place(person: Person, agent: Agent):
    session = agent.start("In focus")
    agent.tell(session, START)
    wall = person.open_live("/")
    row = row_of(wall, "In focus")
    title = row.locator(".title")
    title.focus()
    agent.tell(session, ASKS)
    expect(row).to_have_attribute("data-state", "needs")
    expect(title).to_be_focused()
    expect(row_of(wall, "In focus", band="running")).to_have_count(1)
    wall.locator("#q").focus()
    expect(row_of(wall, "In focus", band="needs")).to_have_count(1)
    agent.tell(session, END)


def test_live_rows_come_through_the_filter(person: Person, agent: Agent):
    wall = person.open_live("/?q=lantern")
    expect(wall.locator(".session")).to_have_count(0)
    agent.start("Nothing to do with it")
    lit = agent.start("Light the lantern")
    expect(row_of(wall, "Light the lantern")).to_be_visible()
    expect(wall.locator(".session")).to_have_count(1)
    agent.change(lit, title="Renamed")
    expect(wall.locator(".session")).to_have_count(0)
    agent.change(lit, title="The lantern again")
    expect(row_of(wall, "The lantern again")).to_be_visible()
    assert is_unreloaded(wall)


def test_the_filter_bar_narrows_the_open_wall_which_stays_live(person: Person, agent: Agent):
    agent.start("A heron at dawn", agent_name="watcher")
    agent.start("A heron at dusk")
    wall = person.open_live("/")
    wall.locator("#q").press_sequentially("heron")
    expect(wall).to_have_url(re.compile("q=heron$"))  # the wall may have held these two alone before
    expect(wall.locator(".session")).to_have_count(2)
    wall.get_by_label("Agent", exact=True).select_option("watcher")
    expect(wall.locator(".session")).to_have_count(1)
    expect(wall).to_have_url(re.compile("q=heron.*agent=watcher"))
    agent.start("A heron at noon", agent_name="watcher")
    agent.start("A heron at night")
    expect(row_of(wall, "A heron at noon")).to_be_visible()
    expect(wall.locator(".session")).to_have_count(2)
    assert is_unreloaded(wall)
    wall.go_back()
    expect(wall.locator("#q")).to_have_value("heron")


@pytest.mark.parametrize("person", [{"viewport": {"width": 1920, "height": 1000}}], indirect=True, ids=["wide"])
def test_on_a_wide_screen_answers_stand_beside_the_source_and_not_over_it(person: Person, agent: Agent):
    session = agent.start("Wide awake")
    agent.tell(session, START, ASKS)
    row = row_of(person.open("/"), "Wide awake")
    source = row.locator(".source").bounding_box()
    approve = row.get_by_role("button", name="Approve").bounding_box()
    expect(row.locator(".source")).to_be_visible()
    assert source is not None
    assert approve is not None
    assert source["x"] + source["width"] <= approve["x"]
    agent.tell(session, END)


@pytest.mark.slow
def test_a_full_band_stays_as_long_as_it_was_and_counts_right(person: Person, agent: Agent):
    sessions = [agent.start(f"Buoy {number}") for number in range(103)]
    for session in sessions:
        agent.tell(session, START)
    for path in ("/", "/?q=buoy"):
        wall = person.open_live(path)
        heading = wall.locator("#running-head span")
        count = figure(wall, "running") if path == "/" else len(sessions)
        expect(heading).to_have_text(str(count))
        expect(wall.locator("#running .session")).to_have_count(100)
        call = {"type": "tool_call_start", "id": f"c{path}", "name": "Bash", "args": {"command": path}}
        for session in sessions[-3:]:
            agent.tell(session, call)
        expect(wall.locator("#running [data-left]")).to_have_text(str(count - 100))
        agent.tell(
            sessions[0], {"type": "tool_call_start", "id": f"c{path}", "name": "Bash", "args": {"command": path}}
        )
        expect(row_of(wall, "Buoy 0").locator(".now")).to_contain_text(path)
        expect(wall.locator("#running .session")).to_have_count(100)
        expect(heading).to_have_text(str(count))
        assert is_unreloaded(wall)
    for session in sessions:
        agent.tell(session, END)


def test_the_wall_names_its_keys_and_no_others(person: Person, agent: Agent):
    wall = person.open_live("/")
    expect(wall.locator("#search-all + kbd")).to_be_hidden()  # the key goes to the filter
    expect(wall.locator("#q + kbd")).to_be_visible()
    wall.keyboard.press("?")
    told = wall.locator("#keys dt").all_inner_texts()
    assert {"a d s", "/", "j k"} <= set(told)
    assert not {"o", "u", "w"} & set(told)


def test_what_is_told_covers_the_line_at_the_foot_and_no_row(person: Person, agent: Agent):
    session = agent.start("Told at the foot")
    agent.tell(session, START, ASKS)
    wall = person.open_live("/?q=told+at+the+foot")
    row_of(wall, "Told at the foot").get_by_role("button", name="Approve").click()
    expect(wall.locator(".toast")).to_be_visible()
    toast, foot = wall.locator(".toast").bounding_box(), wall.locator(".foot").bounding_box()
    assert toast is not None
    assert foot is not None
    assert toast["y"] >= foot["y"] - 2
    agent.tell(session, END)
