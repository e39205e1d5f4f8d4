"""Session.remove: softly deleted, still readable by its id."""

from datetime import UTC, datetime

import pytest

from sessions.exceptions import NotFound
from sessions.models import Session
from tests.factories import make_events, make_message, make_session
from tests.models.bells import listening

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_removed_session_leaves_the_lists_and_stays_readable():
    session = make_session()
    message = make_message(session)
    assert session.remove(by="user:3", now=NOW) is True
    found = Session.objects.find(session.uuid)
    assert (found.is_deleted, found.deleted_at) == (True, NOW)
    assert not Session.objects.active().exists()
    assert list(found.messages.values_list("pk", flat=True)) == [message]
    assert found.events.get(type="server.session_deleted").payload == {"by": "user:3"}


def test_removing_again_says_no_and_changes_nothing():
    session = make_session()
    session.remove(by="first", now=NOW)
    before = Session.objects.values().get(pk=session.pk)
    assert session.remove(by="second") is False
    assert Session.objects.values().get(pk=session.pk) == before


@pytest.mark.django_db(transaction=True)
def test_removing_rings_once():
    session = make_session()
    with listening() as heard:
        session.remove(by="test")
        session.remove(by="test")
    assert heard == [(session.pk, 2)]


def test_nobody_watches_a_removed_session():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    assert Session.objects.get(pk=session.pk).next_deadline_at is not None
    session.remove(by="test")
    assert Session.objects.get(pk=session.pk).next_deadline_at is None


def test_one_that_has_gone_is_not_found():
    session = make_session()
    Session.objects.get(pk=session.pk).destroy()
    with pytest.raises(NotFound):
        session.remove(by="test")
