"""Done but unseen: set when a turn ends, cleared when the session's owner looks, by nobody else."""

from datetime import UTC, datetime

import pytest

from sessions import protocol
from sessions.models import Event, Session
from tests.factories import make_events, make_session, make_user
from tests.models.bells import listening

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def has_mark(session: Session) -> bool:
    session.refresh_from_db()
    return session.is_unseen


def do_turn(session: Session, *, turn_id="t", kind="complete") -> None:
    make_events(session, {"type": "turn_start", "turn_id": turn_id})
    make_events(session, {"type": "turn_end", "turn_id": turn_id, "reason": {"kind": kind, "message": "m"}})


@pytest.mark.parametrize("kind", ["complete", "cancelled", "error"])
def test_a_turn_that_ends_leaves_the_mark_however_it_ended(kind):
    session = make_session()
    assert not has_mark(session)
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    assert not has_mark(session)
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": kind, "message": "m"}})
    assert has_mark(session)


def test_so_does_a_state_that_is_set_without_the_turn_protocol():
    session = make_session()
    protocol.set_state(session.pk, "idle", turn_id=None, by="key:1")
    assert not has_mark(session)
    protocol.set_state(session.pk, "running", turn_id=None, by="key:1")
    protocol.set_state(session.pk, "idle", turn_id=None, by="key:1")
    assert has_mark(session)


def test_a_next_turn_makes_it_needless():
    session = make_session()
    do_turn(session)
    make_events(session, {"type": "turn_start", "turn_id": "t2"})
    assert not has_mark(session)


def test_an_imported_session_has_none():
    session = make_session(is_imported=True)
    do_turn(session)
    assert not has_mark(session)


def test_its_owner_clears_it_once_with_one_event(django_capture_on_commit_callbacks):
    owner = make_user()
    session = make_session(owner)
    do_turn(session)
    session.refresh_from_db()
    again = Session.objects.get(pk=session.pk)
    with listening() as heard, django_capture_on_commit_callbacks(execute=True):
        assert session.see(owner, now=T0)
        again.see(owner, now=T0)
        assert not session.see(owner, now=T0)
    (seen,) = Event.objects.filter(session=session, type="server.session_seen")
    assert seen.payload == {"by": f"user:{owner.pk}"}
    assert heard == [(session.pk, seen.seq)]
    assert not has_mark(session)


def test_looking_does_not_count_as_activity():
    owner = make_user()
    session = make_session(owner)
    do_turn(session)
    session.refresh_from_db()
    before = session.last_activity_at
    session.see(owner)
    session.refresh_from_db()
    assert session.last_activity_at == before


def test_nobody_else_clears_it():
    session = make_session(visibility="PUBLIC")
    do_turn(session)
    session.refresh_from_db()
    for other in (make_user(), make_user(is_staff=True)):
        assert not session.see(other)
    assert has_mark(session)
