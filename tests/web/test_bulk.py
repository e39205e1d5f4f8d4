"""Many sessions at once: asked first, by the verbs of one, each with its event, and never those of others."""

from datetime import timedelta

import pytest
from django.utils import timezone

from sessions import liveness
from sessions.models import Event, Session
from tests.factories import make_events, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse

START = {"type": "turn_start", "turn_id": "t"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}


def ask(client, action, *sessions, **fields):
    return client.post("/sessions/bulk/", {"action": action, "pick": [str(one.uuid) for one in sessions], **fields})


def confirm(client, response):
    """Press the button of the question."""
    page = parse(response.content)
    form = page.one("form", "fields")
    fields: dict[str, list[str]] = {}
    for field in form.all("input"):
        fields.setdefault(field.attrs["name"], []).append(field.attrs["value"])
    return client.post("/sessions/bulk/", fields, follow=True)


def last_event(session):
    return Event.objects.filter(session=session).order_by("-seq").first()


def test_it_asks_with_numbers_and_names_and_does_nothing_yet(owner, reader):
    first, second = make_session(owner, title="One"), make_session(owner, title="Two")
    page = parse(ask(reader, "delete", first, second).content)
    assert page.one("h1").text == "Delete: 2 sessions"
    assert {link.text for link in page.one("ul", "named").all("a")} == {"One", "Two"}
    assert page.one("button", data_kind="harm").text == "Delete: 2 sessions"
    assert Session.objects.active().count() == 2


def test_what_was_ticked_is_deleted_and_each_log_says_by_whom(owner, reader):
    first, second, kept = (make_session(owner) for _ in range(3))
    response = confirm(reader, ask(reader, "delete", first, second))
    assert "Deleted: 2 sessions." in response.content.decode()
    assert set(Session.objects.active()) == {kept}
    for session in (first, second):
        assert (last_event(session).type, last_event(session).payload) == (
            "server.session_deleted",
            {"by": f"user:{owner.pk}"},
        )


@pytest.mark.parametrize(("action", "visibility"), [("public", "PUBLIC"), ("private", "PRIVATE")])
def test_visibility_changes_where_it_differs(owner, reader, action, visibility):
    other = {"PUBLIC": "PRIVATE", "PRIVATE": "PUBLIC"}[visibility]
    changes, is_so = make_session(owner, visibility=other), make_session(owner, visibility=visibility)
    asked = ask(reader, action, changes, is_so)
    assert "1 more was chosen and stays" in parse(asked.content).text
    confirm(reader, asked)
    changes.refresh_from_db()
    assert changes.visibility == visibility
    assert last_event(changes).type == "server.session_edited"
    assert last_event(is_so).type == "server.session_created"


def test_marks_are_cleared_and_what_is_adrift_is_released(owner, reader):
    done, adrift, runs = (make_session(owner) for _ in range(3))
    make_events(done, START, END)
    make_events(adrift, START, now=timezone.now() - timedelta(hours=1))
    make_events(runs, START)
    liveness.watch()
    confirm(reader, ask(reader, "seen", done, adrift))
    assert last_event(done).type == "server.session_seen"
    confirm(reader, ask(reader, "release", adrift, runs))
    adrift.refresh_from_db()
    runs.refresh_from_db()
    assert (adrift.state, runs.state) == ("idle", "running")


def test_all_that_match_are_taken_and_no_other(owner, reader):
    chosen = [make_session(owner, agent_name="zeroclaw") for _ in range(3)]
    kept = make_session(owner)
    asked = ask(reader, "delete", all="1", agent="zeroclaw")
    assert parse(asked.content).one("h1").text == "Delete: 3 sessions"
    late = make_session(owner, agent_name="zeroclaw")
    response = confirm(reader, asked)
    assert response.redirect_chain[0][0] == "/sessions/?agent=zeroclaw"
    assert set(Session.objects.active()) == {kept, late}, "what came after the question was not asked about"
    assert all(Session.objects.get(pk=one.pk).is_deleted for one in chosen)


def test_a_long_work_goes_on_request_by_request(owner, reader, monkeypatch):
    monkeypatch.setattr("sessions.web.views.bulk.SLICE", 2)
    sessions = [make_session(owner) for _ in range(5)]
    response = confirm(reader, ask(reader, "delete", *sessions))
    page = parse(response.content)
    assert "2 of 5 done" in page.by_id("going-on").text
    assert Session.objects.active().count() == 3
    response = confirm(reader, response)
    assert "4 of 5 done" in parse(response.content).by_id("going-on").text
    assert "Deleted: 5 sessions." in confirm(reader, response).content.decode()
    assert not Session.objects.active().exists()


def test_others_sessions_stay_as_they_are(owner, reader):
    private, public = make_session(), make_session(visibility="PUBLIC")
    asked = ask(reader, "delete", private, public)
    assert "None of the 1 that you chose" in parse(asked.content).text
    ask(reader, "delete", private, public, is_confirmed="1", top=str(2**40))
    ask(reader, "private", all="1", is_confirmed="1", top=str(2**40))
    for session in (private, public):
        assert last_event(session).type == "server.session_created"


def test_staff_changes_all(db):
    staff = signed_in(make_user(is_staff=True))
    session = make_session()
    confirm(staff, ask(staff, "delete", session))
    session.refresh_from_db()
    assert session.is_deleted


@pytest.mark.parametrize(
    "fields", [{}, {"action": "nonsense"}, {"action": "delete"}, {"action": "delete", "pick": "x"}]
)
def test_what_is_no_choice_goes_back_with_a_word(owner, reader, fields):
    make_session(owner)
    response = reader.post("/sessions/bulk/", {**fields, "q": "a b"}, follow=True)
    assert response.redirect_chain[0][0] == "/sessions/?q=a+b"
    assert parse(response.content).all("span", "toast")
    assert Session.objects.active().count() == 1


def test_it_is_a_post_of_somebody_who_has_signed_in(owner, reader):
    assert reader.get("/sessions/bulk/").status_code == 405
    session = make_session(owner)
    assert ask(signed_in(None), "delete", session).status_code == 302
    session.refresh_from_db()
    assert not session.is_deleted
