"""The door: who comes for the first time, who comes with a link, who may not come in."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import NEWCOMER, Agent, browsing
from tests.conftest import OWNER, PASSWORD, Server

pytestmark = pytest.mark.browser
NEW_PASSWORD = "heron-over-grey-water-7"


def test_who_signs_in_for_the_first_time_chooses_a_password_of_their_own(
    chromium: Browser, served: Server, request: pytest.FixtureRequest
):
    with browsing(chromium, served, request) as person:
        page = person.open("/sign-in/")
        page.get_by_label("Name").fill(NEWCOMER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/account/password/?first=1")
        page.get_by_label("The password you came with").fill(PASSWORD)
        page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
        page.get_by_label("New password again").fill(NEW_PASSWORD)
        page.get_by_role("button", name="Change it").click()
        page.wait_for_url(person.url + "/")
        expect(page.locator(".toast")).to_contain_text("Your password is changed.")
        person.open_live("/")
    with browsing(chromium, served, request) as person:
        person.sign_in(NEWCOMER, NEW_PASSWORD)  # waits for the wall: asked once, not again
        page = person.open("/")
        page.locator(".me > summary").click()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in/**")
        page.get_by_label("Name").fill(NEWCOMER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text(re.compile("correct", re.IGNORECASE))


def test_who_comes_with_a_link_signs_in_and_is_there(
    chromium: Browser, served: Server, agent: Agent, request: pytest.FixtureRequest
):
    session = agent.start("Behind the door")
    with browsing(chromium, served, request) as person:
        page = person.open(f"/sessions/{session}/?tab=events")
        page.get_by_label("Name").fill(OWNER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**/sessions/{session}/?tab=events")
        expect(page.locator("h1")).to_have_text("Behind the door")
