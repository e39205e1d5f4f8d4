"""The page of a session: what its header says, who may do what with it, and what that does."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import liveness
from sessions.models import Session
from tests.factories import make_events, make_message, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse


def path(session, rest=""):
    return f"/sessions/{session.uuid}/{rest}"


def page(client, session, rest=""):
    response = client.get(path(session, rest))
    assert response.status_code == 200
    return parse(response.content)


def facts(shown):
    return {entry.one("dt").text: entry.one("dd").text for entry in shown.one("dl", "facts").elements}


def test_the_header_says_what_it_is(owner, reader):
    session = make_session(owner, title="Fix it", project_root="/srv/shop", model="sonnet", mode="safe")
    make_message(session)
    shown = page(reader, session)
    assert shown.one("h1").text == "Fix it"
    assert shown.one("head").one("title").text == "Fix it · Koda Web"
    assert shown.one("p", "crumb").text == "Wall / shop on laptop"
    told = facts(shown)
    assert told["Agent"] == "koda"
    assert (told["Model"], told["Mode"], told["Visibility"]) == ("sonnet", "safe", "private")
    assert told["Tokens"] == told["Context"] == "\N{EN DASH}"


def test_who_may_answer_finds_the_way_beside_the_verdict(owner, reader):
    session = make_session(owner)
    assert "Answer" not in page(reader, session).by_id("verdict").text
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    make_events(session, {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "ls"})
    link = page(reader, session, "?tab=usage").by_id("verdict").one("a", "button")
    assert (link.text, link.attrs["href"]) == ("Answer", path(session, "#now"))


def test_a_very_long_project_does_not_fill_the_header(owner, reader):
    session = make_session(owner, project_root="/w/" + "x" * 100)
    crumb = page(reader, session).one("p", "crumb")
    assert len(crumb.text) < 80
    assert [link.attrs["title"] for link in crumb.all("a") if "title" in link.attrs] == [session.project_root]


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ([], "Resting"),
        ([{"type": "turn_start", "turn_id": "t"}], "Running"),
        (
            [
                {"type": "turn_start", "turn_id": "t"},
                {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "ls"},
            ],
            "Waits for you",
        ),
        (
            [
                {"type": "turn_start", "turn_id": "t"},
                {"type": "turn_end", "turn_id": "t", "reason": {"kind": "error", "message": "x"}},
            ],
            "Ended with an error",
        ),
    ],
)
def test_the_verdict_is_said_in_words(owner, reader, events, verdict):
    session = make_session(owner)
    if events:
        make_events(session, *events)
    assert page(reader, session).by_id("verdict").one("strong").text == verdict


def test_a_stuck_session_says_why_and_since_when(owner, reader):
    session = make_session(owner)
    call = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "make"}}
    hour_ago = timezone.now() - timedelta(hours=1)
    make_events(session, {"type": "turn_start", "turn_id": "t"}, call, now=hour_ago)
    liveness.watch()
    shown = page(reader, session)
    assert shown.by_id("verdict").attrs["data-state"] == "stuck"
    assert shown.by_id("verdict").one("code").text == "make"
    assert "while Bash make is open" in shown.by_id("reason").text
    assert shown.by_id("reason").one("a").attrs["href"] == f"/sessions/{session.uuid}/events/3/"
    assert "stuck for" in shown.by_id("verdict").text


def test_the_ribbon_tells_its_result_in_one_sentence(owner, reader):
    session = make_session(owner)
    now = timezone.now()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=now - timedelta(minutes=10))
    ask = {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "ls"}
    make_events(session, ask, now=now - timedelta(minutes=4))
    ribbon = page(reader, session).one("svg", "ribbon")
    assert "waited for you 4\u202fm" in ribbon.attrs["aria-label"]
    assert {bar.attrs["data-state"] for bar in ribbon.all("rect") if "data-state" in bar.attrs} >= {"live", "needs"}


def test_the_socket_goes_on_from_the_seq_that_the_page_shows(owner, reader):
    session = make_session(owner)
    make_message(session)
    session.refresh_from_db()
    shown = page(reader, session)
    assert shown.by_id("cursor").attrs["data-seq"] == str(session.last_seq)
    assert shown.one("div", "session-page").attrs["ws-connect"] == f"/ws{path(session)}"
    events = page(reader, session, "?tab=events")
    assert events.one("div", "session-page").attrs["ws-connect"] == f"/ws{path(session)}?events=1"


def test_a_sub_agent_links_to_its_parent(owner, reader):
    parent = make_session(owner, title="The parent")
    child = make_session(owner, parent=parent)
    link = page(reader, child).one("dl", "facts").one("a")
    assert (link.text, link.attrs["href"]) == ("The parent", path(parent))


# --- Who may see and who may change ------------------------------------------------------------------------------


@pytest.mark.parametrize("visibility", ["PRIVATE", "PUBLIC"])
@pytest.mark.parametrize("who", ["owner", "other", "staff", "nobody"])
@pytest.mark.parametrize("rest", ["", "?tab=events", "messages/?before=9", "events/?before=9", "events/1/"])
def test_who_may_read(owner, visibility, who, rest):
    session = make_session(owner, visibility=visibility)
    people = {"owner": owner, "other": make_user(), "staff": make_user(is_staff=True), "nobody": None}
    reader, place = signed_in(people[who]), path(session, rest)
    page = f"http://testserver{path(session)}"
    response = reader.get(place, headers={"HX-Request": "true", "HX-Current-URL": page})
    if visibility == "PUBLIC" or who in {"owner", "staff"}:
        assert response.status_code == 200
    elif who == "nobody":
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["HX-Redirect"] == f"/sign-in/?next={path(session)}"
        whole = reader.get(place)
        assert whole.status_code == 302
        assert whole.headers["Location"].startswith("/sign-in/?next=")
    else:
        assert response.status_code == 404


@pytest.mark.parametrize("visibility", ["PRIVATE", "PUBLIC"])
@pytest.mark.parametrize("who", ["owner", "other", "staff", "nobody"])
@pytest.mark.parametrize(("rest", "body"), [("edit/", {"title": "Mine"}), ("delete/", {})])
def test_who_may_change(owner, visibility, who, rest, body):
    session = make_session(owner, title="Before", visibility=visibility)
    people = {"owner": owner, "other": make_user(), "staff": make_user(is_staff=True), "nobody": None}
    response = signed_in(people[who]).post(path(session, rest), body)
    after = Session.objects.get(pk=session.pk)
    may = who in {"owner", "staff"}
    assert (after.title == "Mine" or after.is_deleted) is may
    if may:
        assert response.status_code == 302
    elif visibility == "PUBLIC":
        assert response.status_code == 403
    else:
        assert response.status_code == (302 if who == "nobody" else 404)


def test_what_does_not_exist_looks_like_what_one_may_not_see(owner, reader):
    gone = "/sessions/01a21091-ad1f-76c3-bf18-a24da8a45ac9/"
    assert reader.get(gone).status_code == 404
    assert signed_in(None).get(gone).headers["Location"] == f"/sign-in/?next={gone}"


def test_a_reader_who_may_not_change_sees_no_button_for_it(owner):
    session = make_session(owner, visibility="PUBLIC", title="Open")
    shown = page(signed_in(None), session)
    assert not shown.all("form", method="post")
    assert shown.one("h1").text == "Open"


# --- Actions ------------------------------------------------------------------------------------------------------


def test_renaming_is_a_plain_form(owner, reader):
    session = make_session(owner, title="Before")
    form = page(reader, session).one("details", "rename").one("form")
    assert form.one("input", name="title").attrs["value"] == "Before"
    response = reader.post(form.attrs["action"], {"title": "  After  "}, follow=True)
    assert parse(response.content).one("h1").text == "After"
    last = session.events.order_by("-seq").first()
    assert last.type == "server.session_edited"
    assert last.payload == {"changes": {"title": "After"}, "by": f"user:{owner.pk}"}


@pytest.mark.parametrize("tab", ["?tab=timeline", "?tab=usage&before=7", "checkpoints/", ""])
def test_renaming_and_showing_stay_on_the_tab_from_which_they_come(owner, reader, tab):
    session = make_session(owner, title="Before")
    shown = page(reader, session, tab)
    rename, show = shown.one("details", "rename").one("form"), shown.one("div", "actions").one("form")
    for form, change in (
        (rename, {"title": "After"}),
        (rename, {"title": "x" * 501}),
        (show, {"visibility": "PUBLIC"}),
    ):
        back = form.one("input", name="next").attrs["value"]
        assert reader.post(form.attrs["action"], {**change, "next": back}).headers["Location"] == path(session, tab)
    elsewhere = reader.post(rename.attrs["action"], {"title": "x", "next": "https://elsewhere.example/"})
    assert elsewhere.headers["Location"] == path(session)


def test_the_next_prompt_comes_after_a_turn_only_where_one_runs(owner, reader):
    session = make_session(owner)
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    assert page(reader, session).by_id("prompt").attrs["placeholder"] == "Next prompt, after this turn"
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    assert page(reader, session).by_id("prompt").attrs["placeholder"] == "Next prompt"


def test_an_empty_title_clears_it_and_a_long_one_is_refused(owner, reader):
    session = make_session(owner, title="Before", key="telegram/4711")
    reader.post(path(session, "edit/"), {"title": ""})
    assert page(reader, session).one("h1").text == "telegram/4711"
    response = reader.post(path(session, "edit/"), {"title": "x" * 501}, follow=True)
    assert "at most 500 characters" in parse(response.content).by_id("status").text
    assert Session.objects.get(pk=session.pk).title is None


def test_a_title_with_a_nul_is_refused_in_words(owner, reader):
    session = make_session(owner, title="Before")
    response = reader.post(path(session, "edit/"), {"title": "a\x00b"}, follow=True)
    assert "Null characters" in parse(response.content).by_id("status").text
    assert Session.objects.get(pk=session.pk).title == "Before"


def test_visibility_is_one_button_and_leaves_the_title_alone(owner, reader):
    session = make_session(owner, title="Mine")
    form = page(reader, session).one("div", "actions").one("form")
    assert form.one("button").text == "Make public"
    reader.post(form.attrs["action"], {"visibility": form.one("input", name="visibility").attrs["value"]})
    after = Session.objects.get(pk=session.pk)
    assert (after.visibility, after.title) == ("PUBLIC", "Mine")
    assert page(reader, session).one("div", "actions").one("button").text == "Make private"


def test_an_unknown_visibility_changes_nothing(owner, reader):
    session = make_session(owner)
    reader.post(path(session, "edit/"), {"visibility": "EVERYBODY"})
    assert Session.objects.get(pk=session.pk).visibility == "PRIVATE"


def test_deleting_asks_with_numbers_first(owner, reader):
    session = make_session(owner, title="Old")
    make_message(session)
    asked = page(reader, session, "delete/")
    assert "1 message," in asked.one("main").text
    assert not Session.objects.get(pk=session.pk).is_deleted
    response = reader.post(path(session, "delete/"), follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert "Deleted “Old”" in parse(response.content).by_id("status").text
    assert Session.objects.get(pk=session.pk).is_deleted


def test_a_deleted_session_still_reads_and_says_so(owner, reader):
    session = make_session(owner)
    session.remove(by="test")
    shown = page(reader, session)
    assert "Deleted" in shown.one("p", "note").text
    assert "Delete…" not in shown.one("div", "actions").text


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_edit_takes_posts_only(owner, reader, method):
    session = make_session(owner)
    assert getattr(reader, method)(path(session, "edit/")).status_code == 405


def test_forms_need_their_token(owner):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    session = make_session(owner, title="Before")
    response = client.post(path(session, "edit/"), {"title": "After"})
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()
    assert Session.objects.get(pk=session.pk).title == "Before"


def test_its_queries_do_not_grow_with_the_conversation(owner, reader):
    session = make_session(owner)

    def talk(count):
        for number in range(count):
            call = {"id": f"{session.message_count}-{number}", "name": "Bash", "arguments": {"command": "ls"}}
            make_message(session, role="assistant", tool_calls=[call])
            make_message(session, role="tool", tool_call_id=call["id"], content="out")
            make_events(
                session,
                {"type": "tool_call_start", "id": f"e{count}-{number}", "name": "Read", "args": {}, "turn_id": "t"},
            )
        session.refresh_from_db()

    def count_queries(rest):
        with CaptureQueriesContext(connection) as queries:
            page(reader, session, rest)
        return len(queries)

    talk(1)
    few = {rest: count_queries(rest) for rest in ("", "?tab=events")}
    talk(9)
    assert {rest: count_queries(rest) for rest in few} == few
    # 14 for the page and its transcript, 4 for what stands beside it, 1 for commands, up to 6 for findings
    assert few[""] <= 25
    assert few["?tab=events"] <= 14


def test_a_session_that_never_ran_has_no_ribbon(owner, reader):
    session = make_session(owner)
    make_message(session)
    assert not page(reader, session).all("svg", "ribbon")


def test_what_can_be_done_with_a_turn_is_in_what_an_open_page_asks_for_again(owner, reader):
    session = make_session(owner, title="Fix it")

    def acts():
        return parse(reader.get(path(session, "glance/")).content).by_id("acts")

    assert acts().all("button") == []
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    shown = acts()
    assert [button.text for button in shown.all("button")] == ["Stop turn"]
    assert [field.attrs["name"] for field in shown.all("input")] == ["csrfmiddlewaretoken", "next", "action"]
    to_tab = page(reader, session, "?tab=files").by_id("acts").one("input", name="next")
    assert to_tab.attrs["value"] == path(session, "?tab=files")
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    assert acts().all("button") == []
    others = make_session(visibility="PUBLIC")
    make_events(others, {"type": "turn_start", "turn_id": "t"})
    told = parse(reader.get(path(others, "glance/")).content)
    assert told.by_id("acts").all("button") == []  # it can be read, not changed
