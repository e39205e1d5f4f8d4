"""A person looks at the checkpoints of a real run: what changed, the line to resume, a fork."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Agent, Person, is_unreloaded

pytestmark = pytest.mark.browser

ASKED = {"role": "user", "content": "Make the build faster"}


def test_compare_copy_and_fork(person: Person, agent: Agent):
    def post(path, body):
        answer = agent.client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    session = post("sessions", {"title": "Faster", "state": {"messages": [ASKED]}})["session_id"]
    said = {"role": "assistant", "content": "With a cache."}
    newest = post(f"sessions/{session}/checkpoints", {"state": {"messages": [ASKED, said]}})["checkpoint"]["id"]
    page = person.open(f"/sessions/{session}/")
    page.get_by_role("link", name="Checkpoints 2").click()
    expect(page.locator(".tree li")).to_have_count(2)

    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".tree li").first.get_by_role("button", name="Copy resume").click()
    expect(page.locator(".tree li").first.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == f"stakpak -c {newest}"

    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".changes li")).to_have_count(1)
    expect(page.locator(".changes li")).to_contain_text("With a cache.")
    page.get_by_role("link", name="All checkpoints").click()

    page.locator("#checkpoint-1").get_by_role("button", name="Fork").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fork of Faster")
    expect(page.locator("#transcript .message")).to_have_count(1)


def test_a_new_checkpoint_comes_in_above_and_moves_no_mark(person: Person, agent: Agent):
    def post(path, messages):
        answer = agent.client.post(f"/v1/{path}", json={"title": "Marks", "state": {"messages": messages}})
        assert answer.status_code == 201, answer.text
        return answer.json()

    history = [ASKED, *({"role": "assistant", "content": f"Step {number}."} for number in range(4))]
    session = post("sessions", history[:1])["session_id"]
    for length in (2, 3):
        post(f"sessions/{session}/checkpoints", history[:length])
    page = person.open_live(f"/sessions/{session}/checkpoints/")
    page.get_by_label("from checkpoint 1").check()
    page.get_by_label("to checkpoint 2").check()
    post(f"sessions/{session}/checkpoints", history[:4])
    expect(page.locator(".tree li")).to_have_count(4)
    expect(page.locator("#tab-checkpoints")).to_contain_text("4")
    expect(page.locator("#checkpoint-4").get_by_role("button", name="Copy resume")).to_be_visible()
    expect(page.get_by_label("from checkpoint 1")).to_be_checked()
    expect(page.get_by_label("to checkpoint 2")).to_be_checked()
    assert is_unreloaded(page)


def test_a_rewritten_history_is_shown_without_a_reload(person: Person, agent: Agent):
    def post(path, messages):
        answer = agent.client.post(f"/v1/{path}", json={"title": "Live", "state": {"messages": messages}})
        assert answer.status_code == 201, answer.text
        return answer.json()

    first = {"role": "assistant", "content": "The first way."}
    other = {"role": "assistant", "content": "Another way."}
    session = post("sessions", [ASKED])["session_id"]
    page = person.open_live(f"/sessions/{session}/")
    messages = page.locator("#transcript .message .prose")
    for history in ([ASKED, first], [ASKED, other], [ASKED, first, {"role": "user", "content": "Go on."}], [ASKED]):
        post(f"sessions/{session}/checkpoints", history)
        expect(messages).to_have_text([message["content"] for message in history])
    expect(page.get_by_role("link", name="Checkpoints")).to_contain_text("5")
    assert is_unreloaded(page)
