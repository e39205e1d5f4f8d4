"""protocol.abandon: closes what an agent left open when it went away."""

from datetime import UTC, datetime

import pytest

from sessions import commands, protocol
from sessions.exceptions import Conflict, NotFound
from sessions.models import Command, Session
from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURN = {"type": "turn_start", "turn_id": "t"}


def left_open():
    session = make_session()
    make_events(
        session,
        TURN,
        {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {}},
        {"type": "approval_request", "id": "a", "tool_name": "Write"},
    )
    commands.ask(session.pk, {"type": "interrupt"}, by=None)
    return session


def test_turn_calls_requests_and_commands_are_closed_and_the_session_is_idle():
    session = left_open()
    answer = protocol.abandon(session.pk, by="user:7", now=NOW)
    row = Session.objects.get(pk=session.pk)
    turn = row.turns.get()
    assert (row.state, row.turn_id, row.turn_started_at, row.needs) == ("idle", None, None, "")
    assert (row.liveness, row.next_deadline_at, row.doing) == ("resting", None, "")
    assert (turn.reason, turn.ended_at) == ("abandoned", NOW)
    assert turn.reason_message == "Released by hand: its agent had gone away."
    assert row.tool_calls.get().outcome == "aborted"
    assert row.tool_aborted_count == 1
    assert row.requests.get().status == "expired"
    assert Command.objects.get().status == "expired"
    assert answer.pk == row.pk


def test_the_log_tells_who_released_what():
    session = left_open()
    protocol.abandon(session.pk, by="user:7")
    told, changed = session.events.order_by("-seq")[:2][::-1]
    assert (told.type, told.turn_id) == ("server.turn_abandoned", "t")
    assert told.payload == {"by": "user:7", "turn_ids": ["t"]}
    assert (changed.type, changed.payload["to"]) == ("server.liveness_changed", "resting")


def test_it_is_no_sign_of_the_agent():
    session = left_open()
    before = Session.objects.get(pk=session.pk)
    protocol.abandon(session.pk, by="user:7")
    after = Session.objects.get(pk=session.pk)
    assert (after.heard_at, after.progressed_at) == (before.heard_at, before.progressed_at)
    assert after.last_activity_at == before.last_activity_at


def test_a_session_that_only_said_that_it_runs_is_released_too():
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id="mine", by="test")
    make_message(session, role="assistant", content=None, tool_calls=[{"id": "c", "name": "Bash"}])
    protocol.abandon(session.pk, by="shell")
    row = Session.objects.get(pk=session.pk)
    assert (row.state, row.tool_calls.get().outcome) == ("idle", "aborted")
    assert row.turns.count() == 0


def test_a_turn_that_is_open_although_the_session_rests_is_closed():
    session = make_session()
    make_events(session, TURN)
    protocol.set_state(session.pk, "error", turn_id=None, by="test")
    protocol.abandon(session.pk, by="shell")
    assert session.turns.get().reason == "abandoned"


def test_a_late_end_of_a_released_turn_changes_nothing():
    session = left_open()
    protocol.abandon(session.pk, by="shell")
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "error"}})
    assert session.turns.get().reason == "abandoned"
    assert Session.objects.get(pk=session.pk).state == "idle"


def test_where_nothing_is_open_it_is_refused_and_nothing_changes():
    session = make_session()
    with pytest.raises(Conflict):
        protocol.abandon(session.pk, by="shell")
    assert session.events.count() == 1


def test_an_unknown_session_is_not_found():
    with pytest.raises(NotFound):
        protocol.abandon(10**9, by="shell")
