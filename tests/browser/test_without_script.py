"""Without JavaScript every page reads and every form works.

Each test says which forms it sends, and fails when the browser did not send them; test_every_page.py looks for forms on
all pages and fails for one that is sent by none of these tests.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from playwright.sync_api import Browser, Request, expect

from tests.browser.conftest import Agent, Person, browsing
from tests.browser.pages import form_of
from tests.conftest import PASSWORD, manage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("person", [{"java_script_enabled": False}], indirect=True, ids=["no script"]),
]
START = {"type": "turn_start", "turn_id": "t"}
SENT: set[str] = set()
"""The forms that these tests send."""


def sends(*forms: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say which forms a test sends; it fails when its person's browser did not. GET counts with a query only."""
    SENT.update(forms)

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def watched(*, person: Person, **rest: Any) -> None:
            seen: set[str] = set()

            def note(request: Request) -> None:
                if request.is_navigation_request() and (request.method == "POST" or "?" in request.url):
                    seen.add(form_of(request.method, request.url))

            person.context.on("request", note)
            test(person=person, **rest)
            assert set(forms) <= seen

        return watched

    return mark


@sends("GET /")
def test_the_wall_shows_and_narrows_its_rows(person: Person, agent: Agent):
    agent.start("Plain paper")
    agent.start("Plain stone")
    wall = person.open("/")
    expect(wall.locator(".session", has_text="Plain paper")).to_be_visible()
    expect(wall.locator("#fresh")).to_be_hidden()
    wall.locator("#q").fill("Plain paper")
    wall.get_by_role("button", name="Filter").click()
    expect(wall.locator(".session")).to_have_count(1)
    wall.get_by_role("link", name="Show all").click()
    expect(wall.locator(".session", has_text="Plain stone")).to_be_visible()


def test_a_session_reads_to_its_beginning_and_its_calls_and_events_open(person: Person, agent: Agent):
    session = agent.start("Read to the beginning")
    agent.say_all(session, [f"line {number}" for number in range(240)])
    call = {"id": "c1", "function_name": "Bash", "arguments": '{"command": "make paper"}'}
    agent.say(session, "I make it.", tool_calls=[call])
    agent.say(session, "paper is made", role="tool", tool_call_id="c1")
    page = person.open(f"/sessions/{session}/")
    tool = page.locator(".tool", has_text="make paper")
    tool.locator("summary").click()
    tool.get_by_role("link", name="Input and output").click()
    expect(page.locator("pre.output")).to_have_text(re.compile("paper is made"))
    page.get_by_role("link", name="Read to the beginning").click()
    page.goto(f"{person.server.url}/sessions/{session}/")
    for _ in range(5):
        older = page.get_by_role("link", name="Older messages")
        if not older.count():
            break
        older.click()
    expect(page.locator("#transcript .message").first).to_contain_text("line 0")
    page.get_by_role("link", name="Newer messages").click()
    page.get_by_role("navigation", name="Parts of this session").get_by_role("link", name="Events").click()
    event = page.locator(".event").last
    event.locator("summary").click()
    event.get_by_role("link", name="Payload").click()
    expect(page.locator("pre.output")).to_be_visible()


@sends("POST /sessions/<id>/edit/", "POST /sessions/<id>/delete/")
def test_a_session_is_renamed_shown_to_all_and_deleted(person: Person, agent: Agent):
    session = agent.start("Old name")
    page = person.open(f"/sessions/{session}/")
    page.locator(".rename > summary").click()
    page.get_by_label("Title").fill("New name")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("h1")).to_have_text("New name")
    page.get_by_role("button", name="Make public").click()
    expect(page.locator(".facts")).to_contain_text("public, by link")
    page.get_by_role("button", name="Make private").click()
    expect(page.locator(".facts")).not_to_contain_text("public")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete 0 messages").click()
    expect(page.locator(".toast")).to_contain_text("Deleted “New name”")
    expect(page.locator(".session", has_text="New name")).to_have_count(0)


@sends("POST /sessions/<id>/requests/<id>/", "POST /sessions/<id>/tell/")
def test_requests_are_answered_and_agents_are_told(person: Person, agent: Agent):
    session = agent.start("Ask me on paper")
    ask = {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "rm dist", "preview": None}
    agent.tell(session, START, ask)
    page = person.open(f"/sessions/{session}/")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".toast")).to_contain_text("Approved.")
    page.get_by_label("Next prompt").fill("and then the attic")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".toast")).to_contain_text("Sent")
    page.get_by_role("button", name="Stop turn").click()
    expect(page.locator(".toast")).to_contain_text("Asked to stop.")
    taken = [command["command"]["type"] for command in agent.commands(session)]
    assert taken == ["approval_response", "user_prompt", "interrupt"]
    agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "cancelled"}})


@sends("POST /appearance/", "POST /account/alerts/browser/", "POST /sign-out/")
def test_the_look_is_chosen_and_alerts_are_set(person: Person):
    page = person.open("/account/alerts/")
    page.locator(".me > summary").click()
    page.get_by_label("Theme").select_option("dark")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_label("Quiet for").last.fill("7")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".toast")).to_contain_text("Kept.")
    page.locator(".me > summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


@sends("GET /search/")
def test_everything_is_searched_from_the_bar_and_on_its_own_page(person: Person, agent: Agent):
    session = agent.start("Papyrus")
    agent.say(session, "An unheard-of word: quire")
    page = person.open("/account/")
    page.get_by_label("Search everything").fill("quire")
    page.get_by_label("Search everything").press("Enter")
    page.wait_for_url("**/search/?q=quire")
    for _ in range(50):  # it is indexed after it is written
        if page.locator(".hit").count():
            break
        page.wait_for_timeout(200)
        page.get_by_role("button", name="Search").click()
    expect(page.locator(".hit mark").first).to_have_text("quire")
    page.locator(".hit a", has_text="Papyrus").first.click()
    expect(page.locator("h1")).to_have_text("Papyrus")


@sends("GET /sessions/", "POST /sessions/bulk/")
def test_the_list_is_narrowed_and_what_is_ticked_is_shown_to_all(person: Person, agent: Agent):
    for number in range(2):
        agent.start(f"Blotting paper {number}")
    page = person.open("/sessions/")
    page.get_by_label("Filter by text").fill("blotting paper")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Tick Blotting paper 1").check()
    page.get_by_role("button", name="Make public").click()
    page.get_by_role("button", name="Make public: 1 session").click()
    expect(page.locator(".toast")).to_contain_text("Made public: 1 session.")
    page.get_by_role("link", name="Blotting paper 1").click()
    expect(page.locator(".facts")).to_contain_text("public, by link")


@sends("GET /sessions/<id>/find/")
def test_words_are_found_in_a_session(person: Person, agent: Agent):
    session = agent.start("A ream")
    agent.say(session, "Five hundred sheets of vellum")
    page = person.open(f"/sessions/{session}/")
    page.get_by_label("Find in this session").fill("vellum")
    page.get_by_label("Find in this session").press("Enter")
    expect(page.locator(".hit mark")).to_have_text("vellum")


@sends("GET /figures/")
def test_figures_are_those_of_the_period_that_is_chosen(person: Person, agent: Agent):
    agent.tell(agent.start("Counted sheets", agent_name="counter"), START)
    page = person.open("/figures/")
    page.get_by_label("Period").select_option(label="7 days")
    page.get_by_label("Agent", exact=True).select_option("counter")
    page.get_by_role("button", name="Show").click()
    for _ in range(50):  # they are added up after the write
        if page.locator(".totals").count():
            break
        page.wait_for_timeout(200)
        page.get_by_role("button", name="Show").click()
    expect(page.locator(".totals > div").first).to_have_text(re.compile(r"Sessions begun\s*1"))
    expect(page.get_by_label("Agent", exact=True)).to_have_value("counter")


@sends("GET /storage/", "POST /storage/purge/")
def test_what_was_deleted_is_previewed_and_purged(person: Person, agent: Agent):
    session = agent.start("Waste paper", project_root="/w/waste")
    agent.say(session, "To be pulped")
    assert agent.client.delete(f"/api/v1/sessions/{session}").is_success
    page = person.open("/storage/")
    page.locator("[name=policy]").select_option("deleted")
    page.get_by_label("Older than").fill("0")
    page.get_by_label("Project").fill("/w/waste")
    page.get_by_role("button", name="Preview").click()
    page.get_by_label("Type 1 to confirm").fill("1")
    page.get_by_role("button", name="Destroy 1 session").click()
    expect(page.locator(".receipt")).to_contain_text("project /w/waste")


@sends("POST /inbox/")
def test_ticked_approvals_are_given_together(person: Person, agent: Agent):
    sessions = [agent.start(f"Ask me on sheet {number}") for number in range(2)]
    for session in sessions:
        ask = {"type": "approval_request", "id": session, "tool_name": "Bash", "detail": "fold paper", "preview": None}
        agent.tell(session, START, ask)
    page = person.open("/inbox/")
    for session in sessions:
        page.locator(".ask", has=page.locator(f"a[href*='{session}']")).get_by_label("Tick this request").check()
    page.get_by_role("button", name="Approve what is ticked").click()
    expect(page.locator(".toast")).to_be_visible()
    for session in sessions:
        assert [command["command"]["type"] for command in agent.commands(session)] == ["approval_response"]
        agent.tell(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "cancelled"}})


@sends("POST /sessions/<id>/release/")
def test_a_session_whose_agent_went_away_is_released(person: Person, agent: Agent):
    session = agent.start("Left on the table")
    agent.change(session, stuck_after_secs=1)
    agent.tell(session, START)
    page = person.open(f"/sessions/{session}/")
    release = page.get_by_role("button", name="Release")
    for _ in range(60):  # the watchdog looks every few seconds
        if release.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    release.click()
    expect(page.locator(".toast")).to_be_visible()
    expect(release).to_have_count(0)


@sends("POST /sessions/<id>/compact/")
def test_old_messages_are_archived(person: Person, agent: Agent):
    session = agent.start("A thick book")
    agent.say_all(session, [f"page {number}" for number in range(6)])
    page = person.open(f"/sessions/{session}/compact/")
    page.get_by_label("Newest messages that stay").fill("2")
    page.get_by_label("What went before").fill("Four pages of preface")
    page.get_by_role("button", name="Compact").click()
    expect(page.locator("h1")).to_have_text("A thick book")
    expect(page.locator("#transcript")).not_to_contain_text("page 0")


@sends("GET /sessions/<id>/checkpoints/", "POST /sessions/<id>/checkpoints/<id>/fork/")
def test_checkpoints_are_compared_and_forked(person: Person, agent: Agent):
    asked = {"role": "user", "content": "Fold it"}
    begun = agent.client.post("/v1/sessions", json={"title": "Folded", "state": {"messages": [asked]}}).json()
    session = begun["session_id"]
    histories = [asked, {"role": "assistant", "content": "In four."}]
    agent.client.post(f"/v1/sessions/{session}/checkpoints", json={"state": {"messages": histories}})
    page = person.open(f"/sessions/{session}/checkpoints/")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".changes li")).to_contain_text("In four.")
    page.goto(f"{person.url}/sessions/{session}/checkpoints/")
    page.locator("#checkpoint-1").get_by_role("button", name="Fork").click()
    expect(page.locator("h1")).to_have_text("Fork of Folded")


@sends("POST /sessions/<id>/fork/")
def test_a_session_is_forked_from_all_of_it(person: Person, agent: Agent):
    session = agent.start("Carbon copy")
    agent.say(session, "Once is enough", role="user")
    page = person.open(f"/sessions/{session}/fork/")
    page.get_by_role("button", name="Fork").click()
    expect(page.locator("h1")).to_have_text("Fork of Carbon copy")
    expect(page.locator("#transcript")).to_contain_text("Once is enough")


@sends("POST /connect/", "POST /connect/<id>/revoke/")
def test_a_key_is_made_and_revoked(person: Person):
    page = person.open("/connect/")
    page.get_by_label("Name").fill("foolscap")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#paste-key")).to_be_visible()
    row = page.locator("tr", has_text="foolscap").first
    row.locator("summary").click()
    row.get_by_role("button", name="Revoke foolscap").click()
    expect(page.locator(".toast")).to_contain_text("Revoked foolscap")


@sends(
    "POST /account/alerts/",
    "POST /account/alerts/webhooks/<id>/",
    "POST /account/alerts/webhooks/<id>/test/",
    "POST /account/alerts/webhooks/<id>/secret/",
    "POST /account/alerts/webhooks/<id>/remove/",
)
def test_a_webhook_is_added_tried_changed_and_removed(person: Person):
    page = person.open("/account/alerts/")
    if page.get_by_text("Add a webhook").count():  # there is one already
        page.get_by_text("Add a webhook").click()
    page.get_by_label("Address").fill("https://paper.invalid/hook")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("row", name="paper.invalid").get_by_role("button", name="Test").click()
    expect(page.locator(".toast")).to_contain_text("A test is on its way")
    page.get_by_role("link", name="paper.invalid").click()
    page.get_by_label("Quiet for").fill("9")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="paper.invalid").first).to_contain_text("9 min")
    page.get_by_role("link", name="paper.invalid").click()
    page.get_by_text("Show the secret").click()
    secret = page.locator("code", has_text="whsec_").text_content()
    page.get_by_role("button", name="Replace it by a new one").click()
    assert page.locator("code", has_text="whsec_").text_content() != secret
    page.get_by_text("Remove this webhook…").click()
    page.get_by_role("button", name="Remove the webhook").click()
    expect(page.locator(".toast")).to_contain_text("Removed the webhook to paper.invalid")


@sends("POST /sign-in/", "POST /account/browsers/", "POST /account/password/")
def test_who_has_an_account_signs_in_elsewhere_out_there_and_gets_another_password(
    person: Person, chromium: Browser, request: pytest.FixtureRequest
):
    add = f"from django.contrib.auth.models import User; User.objects.create_user('printer', password={PASSWORD!r})"
    manage(person.server.environment, "shell", "--no-imports", "--command", add)
    with browsing(chromium, person.server, request) as elsewhere:
        elsewhere.sign_in("printer")
        person.context.clear_cookies()
        person.sign_in("printer")
        page = person.open("/account/")
        expect(page.locator("main")).to_contain_text("in 1 other browser")
        page.get_by_role("button", name="Sign out there").click()
        expect(page.locator("main")).to_contain_text("Signed in here only.")
        page.get_by_role("link", name="Change the password").click()
        page.get_by_label("Present password").fill(PASSWORD)
        for label in ("New password", "New password again"):
            page.get_by_label(label, exact=True).fill("a-bittern-booms-at-dusk-9")
        page.get_by_role("button", name="Change it").click()
        expect(page.locator(".toast")).to_contain_text("Your password is changed.")
