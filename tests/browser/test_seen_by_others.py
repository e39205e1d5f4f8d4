"""What one person may see of another's sessions changes while both look."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import NEIGHBOUR, Agent, Person, browsing, is_unreloaded
from tests.conftest import Server

pytestmark = pytest.mark.browser


def test_a_session_appears_to_others_when_it_becomes_public_and_goes_when_it_becomes_private(
    person: Person, agent: Agent, chromium: Browser, served: Server, request: pytest.FixtureRequest
):
    session = agent.start("Open garden")
    agent.say(session, "The gate is open")
    mine = person.open_live(f"/sessions/{session}/")
    with browsing(chromium, served, request) as neighbour:
        neighbour.come_in(NEIGHBOUR)
        wall = neighbour.open_live("/")
        row = wall.locator(".session", has_text="Open garden")
        expect(row).to_have_count(0)
        mine.get_by_role("button", name="Make public").click()
        expect(row).to_be_visible()
        theirs = neighbour.open_live(f"/sessions/{session}/")
        expect(theirs.get_by_role("button", name="Make private")).to_have_count(0)
        agent.say(session, "Come in")
        expect(theirs.locator("#transcript .message")).to_have_count(2)
        mine.get_by_role("button", name="Make private").click()
        expect(row).to_have_count(0)
        expect(theirs.locator("#fresh")).to_contain_text("not shown to you any more")
        agent.say(session, "Nobody else reads this")
        expect(mine.locator("#transcript .message")).to_have_count(3)
        expect(theirs.locator("#transcript .message")).to_have_count(2)
        assert is_unreloaded(wall)
        assert is_unreloaded(theirs)
        with neighbour.away():
            answer = theirs.reload()
            assert answer is not None
            assert answer.status == 404
