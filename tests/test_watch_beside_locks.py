"""The watchdog and the note of a listening server beside somebody who holds a session's row and does not let go."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from sessions import liveness, protocol
from sessions.liveness import Watched
from sessions.models import Lease, Session
from sessions.models.patience import patience
from tests.factories import make_events, make_session

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite one writes after the other"),
]
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURN = {"type": "turn_start", "turn_id": "t"}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@contextmanager
def held(session):
    """Hold the row of a session on a connection of its own, as a forgotten transaction does."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                Session.objects.locked(session.pk)
                is_held.set()
                may_go.wait(60)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(20)
    try:
        with patience(1):
            yield
    finally:
        may_go.set()
        thread.join()


@pytest.fixture
def three():
    sessions = [make_session() for _ in range(3)]
    for session in sessions:
        make_events(session, TURN, now=T0)
    return sessions


def livenesses(sessions):
    return [Session.objects.get(pk=session.pk).liveness for session in sessions]


def test_a_session_whose_row_is_held_is_put_off_alone(three):
    liveness.listen(now=at(55))
    with held(three[0]):
        assert liveness.keep_watch(now=at(60)) == Watched(due=3, changed=2, failed=0)
        assert livenesses(three) == ["live", "quiet", "quiet"]
    row = Session.objects.get(pk=three[0].pk)
    assert (row.failed_checks, row.next_deadline_at) == (0, at(60))
    assert liveness.keep_watch(now=at(61)) == Watched(due=1, changed=1, failed=0)
    assert livenesses(three) == ["quiet"] * 3


def test_a_server_listens_though_a_row_is_held_and_its_session_is_excused_later(three):
    liveness.listen(now=at(10))
    with held(three[0]):
        liveness.listen(now=at(1010))
        assert liveness.is_listening(at(1010))
        assert [Session.objects.get(pk=one.pk).excused_seconds for one in three] == [0, 1030, 1030]
        liveness.listen(now=at(1015))  # it is held still: nothing is lost, and nobody is excused twice
        liveness.keep_watch(now=at(1016))
    liveness.keep_watch(now=at(1017))
    assert livenesses(three) == ["live"] * 3  # nothing is concluded of one that is still to be excused
    liveness.listen(now=at(1020))
    liveness.listen(now=at(1025))
    assert [Session.objects.get(pk=one.pk).excused_seconds for one in three] == [1030] * 3
    for seconds, expected in [(1089, "live"), (1090, "quiet"), (1330, "stuck")]:
        liveness.watch(now=at(seconds))
        assert livenesses(three) == [expected] * 3, seconds


def test_whoever_spoke_before_it_could_be_excused_has_no_need_of_it(three):
    liveness.listen(now=at(10))
    with held(three[0]):
        liveness.listen(now=at(1010))
    make_events(three[0], {"type": "info"}, now=at(1011))
    liveness.listen(now=at(1015))
    row = Session.objects.get(pk=three[0].pk)
    assert (row.excused_seconds, row.excused_silence_seconds) == (0, 0)


def test_what_is_owed_to_a_session_that_has_gone_is_forgotten(three):
    liveness.listen(now=at(10))
    with held(three[0]):
        liveness.listen(now=at(1010))
    three[0].destroy()
    liveness.listen(now=at(1015))
    assert Lease.objects.get(name=liveness.LISTENING).left_over == []


def test_a_heartbeat_ends_what_is_owed_of_the_silence_and_not_of_the_progress(three):
    liveness.listen(now=at(10))
    with held(three[0]):
        liveness.listen(now=at(1010))
    protocol.heartbeat(three[0].pk, now=at(1011))
    liveness.listen(now=at(1015))
    row = Session.objects.get(pk=three[0].pk)
    assert (row.excused_seconds, row.excused_silence_seconds) == (1030, 0)
