"""What a person sees of a ZeroClaw at work: messages taken back, said differently, cleared; names, states, deletes."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.api.zeroclaw.calling import at
from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser
KEY = "telegram.home_-100/ada"


class Claw:
    """Calls the routes of one session."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def call(self, method: str, rest: str = "", body: Any = None) -> Any:
        answer = self._client.request(method, at(KEY, rest), json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def say(self, content: str, role: str = "user") -> None:
        self.call("POST", "/messages", {"role": role, "content": content})

    def say_instead(self, content: str, role: str = "user") -> None:
        self.call("PUT", "/messages/last", {"role": role, "content": content})


def test_what_is_taken_back_changed_and_cleared_is_so_on_the_open_page(person: Person, agent: Agent):
    claw = Claw(agent.client)
    claw.call("DELETE")
    claw.say("Count the lamps")
    claw.call("PUT", "/state", {"state": "running", "turn_id": "t1"})
    [session] = agent.client.get("/api/v1/sessions", params={"key": KEY}).json()["items"]
    wall, page = person.open_live("/"), person.open_live(f"/sessions/{session['id']}/")
    row, said = wall.locator(f'.session[id="session-{wall_id(wall, "Count the lamps")}"]'), page.locator(".prose")

    claw.say("Let me", "assistant")
    expect(said).to_have_text(["Count the lamps", "Let me"])
    claw.say_instead("Let me look", "assistant")
    claw.say("a bad picture")
    expect(said).to_have_text(["Count the lamps", "Let me look", "a bad picture"])
    claw.call("DELETE", "/messages/last")
    expect(said).to_have_text(["Count the lamps", "Let me look"])
    claw.call("PUT", "/name", {"name": "Lamps"})
    for place in (page.locator("h1"), page.locator("#called"), row.locator(".title")):
        expect(place).to_have_text("Lamps")
    expect(page).to_have_title("Lamps · Koda Web")

    claw.call("DELETE", "/messages")
    expect(said).to_have_count(0)
    expect(page.get_by_text("No message yet")).to_be_visible()
    claw.say("Anew")
    expect(said).to_have_text(["Anew"])
    expect(page.locator("#transcript > .message")).to_have_count(1)
    expect(page.get_by_text("No message yet")).to_be_hidden()

    claw.call("PUT", "/state", {"state": "error", "turn_id": "t1"})
    expect(page.locator("#verdict")).to_have_attribute("data-state", "failed")
    expect(row).to_have_attribute("data-state", "failed")
    assert is_unreloaded(page)
    assert is_unreloaded(wall)
    claw.call("DELETE")
    expect(row).to_have_count(0)


def test_a_title_goes_with_the_prompt_that_made_it(person: Person, agent: Agent):
    claw = Claw(agent.client)
    claw.call("DELETE")
    claw.say("a secret")
    [session] = agent.client.get("/api/v1/sessions", params={"key": KEY}).json()["items"]
    page = person.open_live(f"/sessions/{session['id']}/")
    claw.call("DELETE", "/messages/last")
    expect(page.locator("h1")).to_have_text(KEY)
    says_it = "xpath=//*[contains(., 'a secret') or @*[contains(., 'a secret')]]"
    expect(page.locator(says_it)).to_have_count(0)


def wall_id(wall, title: str) -> str:
    row = wall.locator(".session", has_text=title).first
    return str(row.get_attribute("id")).rpartition("-")[2]
