"""Who clicks twice has done it once."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route

from tests.browser.conftest import Agent, Person

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def press(page: Page) -> None:
    """Press the button of the mouse where it is; `click` would wait for the page that comes of it."""
    page.mouse.down()
    page.mouse.up()


def click_twice(page: Page, name: str) -> int:
    """Click a button again while its form is on its way; return how often that was sent."""
    held: list[Route] = []
    page.route("**", lambda route: held.append(route) if route.request.method == "POST" else route.fallback())
    button = page.get_by_role("button", name=name, exact=True)
    button.hover()
    page.evaluate("import(document.querySelector('[data-module*=once]').dataset.module)")  # a finger takes longer
    with page.expect_request(lambda request: request.method == "POST"):
        press(page)
    press(page)
    with page.expect_navigation():
        held[-1].continue_()
    page.unroute_all()
    return len(held)


def fork(page: Page, person: Person, agent: Agent) -> str:
    session = agent.start("Forked once")
    agent.say(session, "go on from here")
    page.goto(f"{person.url}/sessions/{session}/fork/")
    return "Fork"


def make_key(page: Page, person: Person, _: Agent) -> str:
    page.goto(f"{person.url}/connect/")
    page.get_by_label("Name").fill("made once")
    return "Make the key"


@pytest.mark.parametrize("prepare", [fork, make_key])
def test_a_form_is_sent_once_by_two_clicks(person: Person, agent: Agent, prepare: Callable[[Page, Person, Agent], str]):
    page = person.open("/account/")
    button = prepare(page, person, agent)
    assert click_twice(page, button) == 1


def test_a_form_can_be_sent_again_when_one_comes_back_to_it(person: Person, agent: Agent):
    page = person.open("/account/")
    fork(page, person, agent)
    for _ in range(2):
        assert click_twice(page, "Fork") == 1
        page.go_back()
        page.wait_for_url("**/fork/")
