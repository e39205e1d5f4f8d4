"""What a person is told while they look elsewhere, and the marks of what they have not looked at."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, Person, Prepared, agent_at
from tests.conftest import Server, stop_server
from tests.receiver import receiving

pytestmark = pytest.mark.browser

START = {"type": "turn_start", "turn_id": "t"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}
ASKS = {"type": "approval_request", "id": "a", "tool_name": "Bash", "detail": "rm -rf dist/", "turn_id": "t"}
SPEAKS = {"type": "text_delta", "text": "on", "turn_id": "t"}
AWAY = """
document.hasFocus = () => false;
window.shown = [];
window.Notification = class extends EventTarget {
  static permission = "default";
  static async requestPermission() { return (this.permission = "granted"); }
  constructor(title, options) { super(); window.shown.push(title); }
};
if (location.pathname === "/") window.Notification.permission = "granted";
"""
"""A browser whose owner looks elsewhere; what it would show outside its window, where no test can look, it notes."""


@pytest.fixture(scope="module")
def served(serve: Callable[..., Server]) -> Iterator[Server]:
    """A server that may call the receivers of this machine."""
    running = serve(KODA_WEBHOOK_PRIVATE="on")
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def agent(served: Server, prepared: Prepared) -> Iterator[Agent]:
    someone = agent_at(served, prepared.key)
    yield someone
    someone.client.close()


def row_of(wall: Page, title: str):
    return wall.locator(".session", has_text=title)


def test_a_webhook_is_added_and_tried_and_its_outcome_shows_by_itself(person: Person, agent: Agent):
    with receiving() as receiver:
        page = person.open("/account/alerts/")
        page.get_by_label("Address").fill(receiver.url)
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_role("button", name="Test").click()
        page.locator("#told").focus()
        expect(page.locator("#deliveries")).to_contain_text("Told")
        expect(page.locator("#told")).to_be_focused()
        assert [told["kind"] for told in receiver.told] == ["test"]
        session = agent.start("Asks by webhook")
        agent.tell(session, START, ASKS)
        receiver.wait_for(calls=2)
        assert [(told["kind"], told["session"]) for told in receiver.told[1:]] == [("needs", session)]


def test_the_wall_notifies_of_ones_own_session_once_in_the_quiet_time(person: Person, agent: Agent):
    person.context.add_init_script(AWAY)
    page = person.open("/account/alerts/")
    expect(page.locator("#permission")).to_have_text("This browser has not been asked yet.")
    page.get_by_label("Notify me").check()
    expect(page.locator("#permission")).to_have_text("This browser allows it.")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".toast")).to_have_text("Kept.")
    session = agent.start("Tidy the parser")
    agent.tell(session, START)
    wall = person.open_live("/")
    row = row_of(wall, "Tidy the parser")
    for _ in range(2):
        agent.tell(session, ASKS)
        expect(row).to_have_attribute("data-state", "needs")
        agent.tell(session, SPEAKS)
        expect(row).to_have_attribute("data-state", "live")
    assert wall.evaluate("window.shown") == ["Tidy the parser needs you"]
    page.goto(page.url)
    page.get_by_label("Notify me").uncheck()
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".toast")).to_have_text("Kept.")


def test_the_mark_of_what_ended_unseen_goes_from_every_wall_when_its_owner_looks(person: Person, agent: Agent):
    session = agent.start("Done in silence")
    agent.tell(session, START, END)
    wall, other_wall = person.open_live("/"), person.open_live("/")
    for one in (wall, other_wall):
        expect(row_of(one, "Done in silence")).to_have_attribute("data-done", "")
    row_of(wall, "Done in silence").locator(".title").click()
    wall.wait_for_url("**/sessions/**")
    expect(row_of(other_wall, "Done in silence")).not_to_have_attribute("data-done", "")


def test_a_turn_that_ends_before_ones_eyes_leaves_no_mark(person: Person, agent: Agent):
    session = agent.start("Done in sight")
    agent.tell(session, START)
    page = person.open_live(f"/sessions/{session}/")
    with page.expect_response("**/seen/") as seen:
        agent.tell(session, END)
    assert seen.value.status == 204
    wall = person.open_live("/")
    expect(row_of(wall, "Done in sight")).not_to_have_attribute("data-done", "")
