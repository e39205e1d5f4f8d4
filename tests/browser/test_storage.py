"""The storage page in a browser: preview, confirmation, receipt, with a script and without; an open page drops it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person

pytestmark = pytest.mark.browser


def keep(agent: Agent, project: str) -> str:
    session = agent.start("Kept for long", project_root=project)
    agent.say_all(session, [f"quagga {number}" for number in range(4)])
    agent.client.post(f"/api/v1/sessions/{session}/compact", json={"summary": "s", "preserve_count": 1})
    return session


@pytest.mark.parametrize("person", [{}, {"java_script_enabled": False}], indirect=True, ids=["script", "no script"])
def test_archived_messages_are_previewed_purged_and_receipted(person: Person, agent: Agent, request):
    project = f"/srv/{request.node.callspec.id.replace(' ', '-')}"
    session = keep(agent, project)
    page = person.open("/storage/")
    page.get_by_label("Older than").fill("0")
    page.get_by_label("Project").fill(project)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("This would destroy 3 messages of 1 session")).to_be_visible()
    page.get_by_label("Type 3 to confirm").fill("2")
    page.get_by_role("button", name="Destroy 3 messages").click()
    expect(page.get_by_role("alert")).to_have_text(re.compile("not the number"))
    page.get_by_label("Type 3 to confirm").fill("3")
    page.get_by_role("button", name="Destroy 3 messages").click()
    expect(page.locator(".receipt")).to_contain_text(f"project {project}")
    page.goto(f"{person.server.url}/sessions/{session}/?archived=1")
    expect(page.locator(".message")).to_have_count(3)


def test_an_open_page_drops_what_is_purged(person: Person, agent: Agent):
    session = keep(agent, "/srv/open")
    page = person.open(f"/sessions/{session}/?archived=1")
    expect(page.locator(".message")).to_have_count(6)
    person.server.manage("purgecompacted", "--older-than", "0", "--project", "/srv/open", "--yes")
    expect(page.locator(".message")).to_have_count(3)
    expect(page.locator("#transcript")).not_to_contain_text("quagga 0")
