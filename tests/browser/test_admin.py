"""The admin, for whoever reads it with other eyes or hands: on its lists, its forms and its pages of one row."""

import pytest
from django.contrib import admin
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person
from tests.browser.pages import save_states
from tests.browser.test_every_page import violations
from tests.browser.test_focus import ASKS, furnished

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LISTS = sorted(f"/admin/{one._meta.app_label}/{one._meta.model_name}/" for one in admin.site._registry)
FORMS = ["/admin/", "/admin/auth/user/add/", "/admin/auth/group/add/", "/admin/koda_sessions/apikey/add/"]
MAYBE_NONE = {"/admin/auth/group/", "/admin/koda_sessions/delivery/", "/admin/koda_sessions/receipt/"}
"""Lists of what nothing here makes."""


def test_axe_finds_nothing_serious_in_the_admin(person: Person, agent: Agent):
    session = furnished(agent, "Postern gate")
    agent.tell(session, ASKS)
    agent.post(f"sessions/{session}/commands", {"type": "user_prompt", "text": "Go on"})
    save_states(agent)
    page = person.open("/account/alerts/")
    page.get_by_label("Address").fill("https://example.org/gate")
    page.get_by_role("button", name="Add", exact=True).click()
    page.close()
    page = person.context.new_page()  # one that minds no styles: the tool that looks brings its own
    page.emulate_media(reduced_motion="reduce")
    found: dict[str, list[str]] = {}

    def look(path: str) -> None:
        page.emulate_media(color_scheme="light")
        found[path] = violations(page)
        page.emulate_media(color_scheme="dark")
        found[path] += violations(page, only="color-contrast")

    for path in FORMS:
        page.goto(person.url + path)
        look(path)
    empty = set()
    for path in LISTS:
        page.goto(person.url + path)
        look(path)
        first = page.locator("#result_list tbody th a").first
        if first.count():
            first.click()
            look(f"one of {path}")
        else:
            empty.add(path)
    page.close()
    assert empty <= MAYBE_NONE
    assert {path: those for path, those in found.items() if those} == {}


@pytest.mark.parametrize(("chosen", "system"), [("Dark", "light"), ("Light", "dark")])
def test_the_admin_has_the_theme_that_was_chosen_in_the_product(person: Person, chosen: str, system: str):
    page = person.open("/account/")
    page.emulate_media(color_scheme=system)
    page.get_by_role("radio", name=chosen).check()
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("html")).to_have_attribute("data-theme", chosen.lower())
    ink = "getComputedStyle(document.body).color"
    wanted = page.evaluate(ink)
    page.goto(f"{person.url}/admin/koda_sessions/session/")
    assert page.evaluate(ink) == wanted
    expect(page.locator(".theme-toggle")).to_have_count(0)  # there is one theme, and one place where it is chosen
    page.goto(f"{person.url}/account/")
    page.get_by_role("radio", name="System").check()
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", chosen.lower())
    page.goto(f"{person.url}/admin/")
    assert page.evaluate(ink) != wanted
