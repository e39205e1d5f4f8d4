"""The admin, for whoever reads it with other eyes or hands: on its lists, its forms and its pages of one row."""

import pytest

from sessions import models
from tests.browser.conftest import Agent, Person
from tests.browser.test_every_page import violations
from tests.browser.test_focus import ASKS, furnished

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RECORDS = sorted(
    one._meta.model_name for one in (
        models.ApiKey, models.AuditEntry, models.Checkpoint, models.Command, models.Delivery, models.Event, models.File,
        models.Lease, models.Message, models.Metadata, models.Request, models.Session, models.ToolCall, models.Turn,
        models.Usage, models.Webhook,
    )
)  # fmt: skip
PLACES = [
    "/admin/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/group/",
    "/admin/koda_sessions/apikey/add/",
]


def test_axe_finds_nothing_serious_in_the_admin(person: Person, agent: Agent):
    session = furnished(agent, "Postern gate")
    agent.tell(session, ASKS)
    page = person.context.new_page()
    found: dict[str, list[str]] = {}

    def look(path: str, *, in_the_dark: bool = True) -> None:
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        found[path] = violations(page)
        if in_the_dark:
            page.emulate_media(color_scheme="dark")
            found[path] += violations(page, only="color-contrast")

    for path in PLACES:
        page.goto(person.url + path)
        look(path)
    for record in RECORDS:
        page.goto(f"{person.url}/admin/koda_sessions/{record}/")
        look(record, in_the_dark=record == "session")
        first = page.locator("#result_list tbody th a").first
        if first.count():
            first.click()
            look(f"one {record}", in_the_dark=record in {"session", "message", "event"})
    page.goto(f"{person.url}/admin/auth/user/")
    page.locator("#result_list tbody th a").first.click()
    look("one user")
    page.close()
    assert {path: those for path, those in found.items() if those} == {}
