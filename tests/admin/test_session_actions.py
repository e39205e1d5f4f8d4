"""Deleting and destroying sessions: through the same verbs as at every other door."""

import pytest

from sessions.models import Event, Message, Session
from sessions.signals import event_recorded
from tests.admin.everything import make_everything
from tests.factories import make_message, make_session

SESSIONS = "/admin/koda_sessions/session/"


@pytest.fixture
def bells():
    heard = []

    def hear(session_id, seq, **rest):
        heard.append((session_id, seq))

    event_recorded.connect(hear)
    yield heard
    event_recorded.disconnect(hear)


def act(client, action: str, *sessions: Session, **more: str):
    return client.post(
        SESSIONS, {"action": action, "_selected_action": [session.pk for session in sessions], **more}, follow=True
    )


def test_deleting_softly_is_recorded_with_who_did_it(staff, bells, django_capture_on_commit_callbacks):
    session, other = make_everything(), make_everything()
    with django_capture_on_commit_callbacks(execute=True):
        answer = act(staff, "remove_softly", session)
    session.refresh_from_db()
    assert session.is_deleted
    event = session.events.get(type="server.session_deleted")
    assert event.payload == {"by": f"user:{answer.context['user'].pk}"}
    assert bells == [(session.pk, event.seq)]
    assert not Session.objects.get(pk=other.pk).is_deleted
    assert "1 deleted, 0 had been deleted before." in answer.content.decode()


def test_deleting_softly_again_changes_nothing(staff):
    session = make_session()
    session.remove(by="test")
    before = Session.objects.values().get(pk=session.pk)
    assert "0 deleted, 1 had been deleted before." in act(staff, "remove_softly", session).content.decode()
    assert Session.objects.values().get(pk=session.pk) == before


def test_destroying_takes_all_below_along_and_rings(staff, bells, django_capture_on_commit_callbacks):
    session, other = make_everything(), make_everything()
    confirm = act(staff, "delete_selected", session).content.decode()
    assert "Messages: 2" in confirm
    assert f"Events: {session.last_seq}" in confirm
    with django_capture_on_commit_callbacks(execute=True):
        act(staff, "delete_selected", session, post="yes")
    assert list(Session.objects.values_list("pk", flat=True)) == [other.pk]
    assert not Message.objects.filter(session_id=session.pk).exists()
    assert not Event.objects.filter(session_id=session.pk).exists()
    assert bells == [(session.pk, session.last_seq + 1)]


def test_asking_before_destruction_names_and_counts_what_stands_below_too(staff):
    parent = make_session(title="The one above")
    child = make_session(parent.owner, parent=parent, title="A sub-agent")
    below = make_session(parent.owner, parent=child, title="Its own sub-agent")
    for session in (parent, child, below):
        make_message(session)
    for asked in (
        act(staff, "delete_selected", parent),
        act(staff, "delete_selected", below, parent, child),
        staff.get(f"{SESSIONS}{parent.pk}/delete/"),
    ):
        page = asked.content.decode()
        assert "Sessions: 3" in page
        assert "Messages: 3" in page
        named = [f'Session: <a href="{SESSIONS}{one.pk}/change/">{one.title}</a>' for one in (parent, child, below)]
        assert [page.count(name) for name in named] == [1, 1, 1]
    assert "Sessions: 1" in act(staff, "delete_selected", below).content.decode()


def test_destroying_one_from_its_own_page(staff):
    session = make_everything()
    page = f"{SESSIONS}{session.pk}/delete/"
    assert "Messages: 2" in staff.get(page).content.decode()
    staff.post(page, {"post": "yes"})
    assert not Session.objects.exists()


def test_destroying_a_parent_with_its_child_chosen_too_is_no_error(staff):
    parent = make_session()
    child = make_session(parent.owner, parent=parent)
    assert act(staff, "delete_selected", parent, child, post="yes").status_code == 200
    assert not Session.objects.exists()


def test_asking_before_destruction_does_not_load_the_conversation(staff, django_assert_max_num_queries):
    session = make_session()
    for _ in range(30):
        make_message(session)
    with django_assert_max_num_queries(8):
        staff.get(f"{SESSIONS}{session.pk}/delete/")


@pytest.mark.parametrize("action", ["remove_softly", "delete_selected"])
def test_staff_without_the_permission_delete_nothing(looker, action):
    session = make_session()
    assert "Destroy" not in looker.get(SESSIONS).content.decode()
    act(looker, action, session, post="yes")
    session.refresh_from_db()
    assert not session.is_deleted
    assert looker.post(f"{SESSIONS}{session.pk}/delete/", {"post": "yes"}).status_code == 403
