"""protocol.set_state and protocol.heartbeat: what an agent says of itself outside of the turn protocol."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions import commands, liveness, protocol
from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Session, State
from tests.factories import make_events, make_session

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("before", State.values)
@pytest.mark.parametrize("state", State.values)
def test_any_state_may_follow_any(before, state):
    session = make_session()
    protocol.set_state(session.pk, before, turn_id="old", by="test", now=NOW)
    protocol.set_state(session.pk, state, turn_id="new", by="key:1", now=later(5))
    session.refresh_from_db()
    assert (session.state, session.turn_id) == (state, "new")
    assert session.turn_started_at == (later(5) if state == "running" else None)
    event = session.events.filter(type="server.state_changed").latest("seq")
    assert (event.payload, event.turn_id) == ({"state": state, "by": "key:1"}, "new")


@pytest.mark.parametrize("turn_id", ["t", None])
@pytest.mark.parametrize(
    ("state", "next_turn", "is_over"),
    [
        ("idle", None, True),
        ("error", "same", True),
        ("running", "next", True),
        ("running", "same", False),
        ("running", None, False),
    ],
)
def test_a_state_that_leaves_a_turn_expires_what_it_asked(turn_id, state, next_turn, is_over):
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id=turn_id, by="test", now=NOW)
    make_events(session, {"type": "approval_request", "id": "a"}, now=later(1))
    interrupt = commands.ask(session.pk, {"type": "interrupt"}, by=None, now=later(2))
    named = turn_id if next_turn == "same" else next_turn
    protocol.set_state(session.pk, state, turn_id=named, by="test", now=later(5))
    session.refresh_from_db()
    request = session.requests.get()
    assert (request.status, request.closed_at) == (("expired", later(5)) if is_over else ("open", None))
    assert session.needs == ("" if is_over else "approval")
    interrupt.refresh_from_db()
    assert interrupt.status == ("expired" if is_over and turn_id else "requested")


def test_a_request_of_a_turn_that_was_left_hides_no_hang_of_the_next():
    session = make_session()
    ask = {"type": "approval_request", "id": "a", "turn_id": "t"}
    make_events(session, {"type": "turn_start", "turn_id": "t"}, ask, now=NOW)
    protocol.set_state(session.pk, "idle", turn_id=None, by="test", now=later(5))
    protocol.set_state(session.pk, "running", turn_id="next", by="test", now=later(10))
    liveness.watch(now=later(310))
    session.refresh_from_db()
    assert session.liveness == "stuck"


def test_running_again_starts_the_clock_anew():
    session = make_session()
    for seconds in (0, 60):
        protocol.set_state(session.pk, "running", turn_id="t", by="test", now=later(seconds))
    session.refresh_from_db()
    assert session.turn_started_at == later(60)


def test_a_state_without_a_turn_clears_the_turn():
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id="t", by="test")
    protocol.set_state(session.pk, "idle", turn_id=None, by="test")
    session.refresh_from_db()
    assert session.turn_id is None


def test_a_state_is_no_activity():
    session = make_session(created_at=NOW)
    protocol.set_state(session.pk, "running", turn_id="t", by="test", now=later(60))
    session.refresh_from_db()
    assert session.last_activity_at == NOW


@pytest.mark.parametrize("word", ["", "Running", "RUNNING", "stuck", "idle "])
def test_other_words_are_refused(word):
    session = make_session()
    before = Session.objects.values().get(pk=session.pk)
    with pytest.raises(InvalidRequest):
        protocol.set_state(session.pk, word, turn_id=None, by="test")
    assert Session.objects.values().get(pk=session.pk) == before


@pytest.mark.parametrize("turn_id", ["a\x00", "\ud800", "x" * 2001])
def test_a_turn_id_that_cannot_be_is_refused(turn_id):
    with pytest.raises(InvalidRequest):
        protocol.set_state(make_session().pk, "running", turn_id=turn_id, by="test")


def test_of_an_unknown_session_neither_is_taken():
    with pytest.raises(NotFound):
        protocol.set_state(10**9, "idle", turn_id=None, by="test")
    with pytest.raises(NotFound):
        protocol.heartbeat(10**9)


def beat(session: Session, seconds: float, **facts) -> Session:
    protocol.heartbeat(session.pk, now=later(seconds), **facts)
    session.refresh_from_db()
    return session


def make_running() -> Session:
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=NOW)
    session.refresh_from_db()
    return session


def test_a_bare_heartbeat_is_heard_and_is_neither_progress_nor_an_event():
    session = make_running()
    seq, activity = session.last_seq, session.last_activity_at
    session = beat(session, 10, interval_seconds=20)
    assert (session.heard_at, session.heartbeat_at, session.progressed_at) == (later(10), later(10), NOW)
    assert (session.last_seq, session.last_activity_at, session.heartbeat_interval_seconds) == (seq, activity, 20)


@pytest.mark.parametrize(
    ("numbers", "progressed"), [([1], 1), ([1, 1], 1), ([1, 2], 2), ([5, 3], 1), ([0], 1), ([3, 1, 2], 3)]
)
def test_progress_is_a_number_that_grew(numbers, progressed):
    session = make_running()
    for seconds, number in enumerate(numbers, start=1):
        session = beat(session, seconds, progress=number)
    assert session.progressed_at == later(progressed)


def test_what_a_heartbeat_does_not_say_stays():
    session = beat(make_running(), 1, interval_seconds=15, progress=7, expect_within_seconds=600)
    session = beat(session, 2)
    assert (session.heartbeat_interval_seconds, session.progress, session.expected_by) == (15, 7, later(601))


def test_a_new_activity_is_told_once():
    session = make_running()
    for seconds in (1, 2):
        session = beat(session, seconds, activity="Compiling")
    assert (session.doing, session.doing_since) == ("Compiling", later(1))
    assert session.events.filter(type="server.activity_changed").get().payload == {"activity": "Compiling"}


def test_a_long_activity_is_told_once_too():
    session = make_running()
    for seconds in (1, 2):
        session = beat(session, seconds, activity="x" * 500)
    assert session.doing == "x" * 200
    assert session.events.filter(type="server.activity_changed").count() == 1


def test_a_heartbeat_brings_a_lost_session_back_and_tells():
    session = beat(make_running(), 1, interval_seconds=10)
    Session.objects.filter(pk=session.pk).update(liveness="lost")
    session = beat(session, 200, progress=1)
    assert session.liveness == "live"
    change = session.events.filter(type="server.liveness_changed").latest("seq")
    assert (change.payload["from"], change.payload["to"]) == ("lost", "live")


@pytest.mark.parametrize("field", ["interval_seconds", "progress", "expect_within_seconds"])
@pytest.mark.parametrize("value", [-1, 2**63, float("nan")])
def test_numbers_that_cannot_be_are_refused(field, value):
    with pytest.raises(InvalidRequest):
        protocol.heartbeat(make_session().pk, **{field: value})


@pytest.mark.parametrize("interval", [0, 1, 86_400, 2**31 - 1, 2**31, 2**62])
def test_any_interval_is_taken_or_refused_and_never_a_fault(interval):
    session = make_running()
    try:
        session = beat(session, 1, interval_seconds=interval)
    except InvalidRequest:
        return
    assert session.heartbeat_interval_seconds <= 2**31 - 1
    assert session.next_deadline_at is not None


def test_heartbeats_of_a_resting_session_set_no_deadline():
    assert beat(make_session(), 1, interval_seconds=10).next_deadline_at is None
