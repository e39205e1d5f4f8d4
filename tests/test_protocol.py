"""The turn protocol: what each engine event does to the session, its turn, its tool calls and its requests."""

from datetime import timedelta

import pytest

from sessions import protocol
from sessions.exceptions import InvalidRequest
from sessions.models import Command, CommandStatus, Event, Session, Turn
from tests.engine_events import (
    APPROVAL,
    CALL,
    CAP,
    NOW,
    QUESTION,
    RESULT,
    START,
    after,
    calls_of,
    end,
    requests_of,
    turns_of,
)
from tests.factories import make_events, make_session

pytestmark = pytest.mark.django_db


TABLE = [
    # In turn: a name, events, state with turn id, needs and activity; then turns, calls and requests as they are left.
    ("a start begins a turn", [START], ("running", "t", "", ""), [("t", None)], [], []),
    ("a completed turn rests", [START, end()], ("idle", None, "", ""), [("t", "complete")], [], []),
    ("a cancelled turn rests", [START, end("cancelled")], ("idle", None, "", ""), [("t", "cancelled")], [], []),
    (
        "an error is a state and keeps its turn",
        [START, end("error", message="no network")],
        ("error", "t", "", ""), [("t", "error")], [], [],
    ),
    ("a call is what it does", [START, CALL], ("running", "t", "", "Bash"), [("t", None)], [("c", None)], []),
    (
        "a result closes its call",
        [START, CALL, RESULT],
        ("running", "t", "", ""), [("t", None)], [("c", "success")], [],
    ),
    (
        "an end aborts what is open",
        [START, CALL, end()],
        ("idle", None, "", ""), [("t", "complete")], [("c", "aborted")], [],
    ),
    (
        "a result after the end is too late",
        [START, CALL, end(), RESULT],
        ("idle", None, "", ""), [("t", "complete")], [("c", "aborted")], [],
    ),
    (
        "an approval needs a person",
        [START, APPROVAL],
        ("running", "t", "approval", ""), [("t", None)], [], [("approval", "open")],
    ),
    (
        "a cap needs a decision",
        [START, CAP],
        ("running", "t", "loop_decision", ""), [("t", None)], [], [("loop_decision", "open")],
    ),
    (
        "a question needs an answer",
        [START, QUESTION],
        ("running", "t", "input", ""), [("t", None)], [], [("input", "open")],
    ),
    (
        "an end lets requests expire",
        [START, APPROVAL, end()],
        ("idle", None, "", ""), [("t", "complete")], [], [("approval", "expired")],
    ),
    (
        "who asks twice waits for the first",
        [START, CAP, APPROVAL],
        ("running", "t", "loop_decision", ""), [("t", None)], [], [("loop_decision", "open"), ("approval", "open")],
    ),
    (
        "a model that speaks again waits no more",
        [START, APPROVAL, {"type": "text_delta", "text": "so"}],
        ("running", "t", "", "Writing"), [("t", None)], [], [("approval", "expired")],
    ),
    (
        "the result of the tool settles the question about it",
        [START, CALL, APPROVAL, RESULT],
        ("running", "t", "", ""), [("t", None)], [("c", "success")], [("approval", "expired")],
    ),
    (
        "the result of another tool settles nothing",
        [START, {**CALL, "name": "Read"}, APPROVAL, RESULT],
        ("running", "t", "approval", ""), [("t", None)], [("c", "success")], [("approval", "open")],
    ),
    ("it thinks", [START, {"type": "thinking_start"}], ("running", "t", "", "Thinking"), [("t", None)], [], []),
    (
        "it goes on thinking",
        [START, {"type": "thinking_delta", "text": "hm"}],
        ("running", "t", "", "Thinking"), [("t", None)], [], [],
    ),
    ("it writes", [START, {"type": "response_start"}], ("running", "t", "", "Writing"), [("t", None)], [], []),
    (
        "it goes on writing",
        [START, {"type": "text_delta", "text": "so"}],
        ("running", "t", "", "Writing"), [("t", None)], [], [],
    ),
    (
        "a sub-agent works",
        [START, {"type": "sub_agent_start", "agent_name": "scout"}],
        ("running", "t", "", "Sub-agent"), [("t", None)], [], [],
    ),
    (
        "the end of a turn that was left behind moves nothing",
        [START, {**START, "turn_id": "u"}, end()],
        ("running", "u", "", ""), [("t", "abandoned"), ("u", None)], [], [],
    ),
    (
        "a second end of the same turn changes nothing",
        [START, end("error"), end()],
        ("error", "t", "", ""), [("t", "error")], [], [],
    ),
    (
        "a start of a turn that has ended starts nothing",
        [START, end(), START],
        ("idle", None, "", ""), [("t", "complete")], [], [],
    ),
    (
        "a start goes on from what was asked outside of any turn",
        [APPROVAL, START],
        ("running", "t", "", ""), [("t", None)], [], [("approval", "expired")],
    ),
    (
        "a start leaves what was asked in a turn of another id",
        [{**START, "turn_id": "u"}, {**QUESTION, "turn_id": "v"}, APPROVAL, START],
        ("running", "t", "input", ""), [("u", "abandoned"), ("t", None)], [],
        [("input", "open"), ("approval", "expired")],
    ),
    (
        "a model that speaks waits no more for what was asked outside of any turn",
        [QUESTION, {"type": "text_delta", "text": "so", "turn_id": "t"}],
        ("idle", None, "", "Writing"), [], [], [("input", "expired")],
    ),
    (
        "a late repeat of a start that is over leaves the turn that runs alone",
        [START, end(), {**START, "turn_id": "u"}, CALL | {"turn_id": "u"}, START],
        ("running", "u", "", "Bash"), [("t", "complete"), ("u", None)], [("c", None)], [],
    ),
    (
        "after a late repeat the turn that runs ends as it does",
        [START, end(), {**START, "turn_id": "u"}, START, end(turn_id="u")],
        ("idle", None, "", ""), [("t", "complete"), ("u", "complete")], [], [],
    ),
    ("the same start again is the same turn", [START, START], ("running", "t", "", ""), [("t", None)], [], []),
    (
        "the next start abandons what is still open",
        [START, CALL, APPROVAL, {**START, "turn_id": "u"}],
        ("running", "u", "", ""), [("t", "abandoned"), ("u", None)], [("c", "aborted")], [("approval", "expired")],
    ),
    ("a result without a call is only kept", [START, RESULT], ("running", "t", "", ""), [("t", None)], [], []),
    (
        "a call outside of any turn is a call",
        [{**CALL, "turn_id": None}],
        ("idle", None, "", "Bash"), [], [("c", None)], [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "state", "turns", "calls", "requests"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_each_event_has_its_effect(events, state, turns, calls, requests):
    session = after(*events)
    assert (session.state, session.turn_id, session.needs, session.doing) == state
    assert (turns_of(session), calls_of(session), requests_of(session)) == (turns, calls, requests)
    assert [event.type for event in session.events.order_by("seq") if not event.is_from_server] == [
        e["type"] for e in events
    ]


@pytest.mark.parametrize(
    ("events", "state", "turns", "calls", "requests"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_one_batch_has_the_same_effect_as_many(events, state, turns, calls, requests):
    session = make_session()
    make_events(session, *events, now=NOW)
    session.refresh_from_db()
    assert (session.state, session.turn_id, session.needs, session.doing) == state
    assert (turns_of(session), calls_of(session), requests_of(session)) == (turns, calls, requests)


def test_every_type_of_the_table_was_tried():
    tried = {event["type"] for row in TABLE for event in row[1]}
    assert set(protocol.EFFECTS) - tried == {"footer", "context_usage", "status_update"}


@pytest.mark.parametrize(
    "type_",
    [
        "text_done",
        "thinking_done",
        "spinner_start",
        "spinner_stop",
        "action_blocked",
        "info",
        "warn",
        "error",
        "child_task_update",
        "x",
    ],
)
def test_other_types_are_kept_and_move_nothing_but_the_signs_of_life(type_):
    session = after(START)
    before = Session.objects.values().get(pk=session.pk)
    payload = {"message": "m", "nested": {"z": 1, "a": [None, 2.5]}}
    make_events(session, {"type": type_, **payload, "turn_id": "t", "event_id": "e"}, now=NOW + timedelta(seconds=9))
    row = Session.objects.values().get(pk=session.pk)
    assert {name for name in row if row[name] != before[name]} == {
        "last_seq", "revision", "updated_at", "last_activity_at", "heard_at", "progressed_at", "beats",
        "next_deadline_at", "progress_seq",
    }  # fmt: skip
    event = session.events.get(type=type_)
    assert (event.payload, event.turn_id, event.event_id) == (payload, "t", "e")


def test_times_are_the_servers():
    session = after(START)
    assert session.turn_started_at == session.turns.get().started_at == NOW
    make_events(session, {**CALL, "at": "2001-01-01T00:00:00Z"}, end(), now=NOW + timedelta(seconds=7))
    session.refresh_from_db()
    assert session.turn_started_at is None
    assert session.turns.get().ended_at == session.tool_calls.get().ended_at == NOW + timedelta(seconds=7)
    assert session.last_activity_at == session.heard_at == session.progressed_at == NOW + timedelta(seconds=7)


def test_the_message_of_an_error_is_kept():
    assert after(START, end("error", message="no network")).turns.get().reason_message == "no network"


def test_an_abandoned_turn_says_why():
    session = after(START, {**START, "turn_id": "u"})
    turn = session.turns.get(turn_id="t")
    assert (turn.reason, turn.ended_at) == ("abandoned", NOW + timedelta(seconds=1))
    assert turn.reason_message


@pytest.mark.parametrize(
    "before",
    [[], [START], [START, end()], [{"type": "info"}]],
    ids=["nothing", "a turn", "a turn that ended", "a line"],
)
def test_the_end_of_a_turn_that_never_began_is_refused_and_leaves_no_trace(before):
    session = after(*before)
    rows = [list(model.objects.order_by("pk").values()) for model in (Session, Event, Turn)]
    with pytest.raises(InvalidRequest) as refused:
        make_events(session, {"type": "info"}, end(turn_id="never"), {"type": "info"})
    assert [(error.field, error.message) for error in refused.value.errors] == [
        ("events.1.turn_id", "no turn with this id has begun in this session")
    ]
    assert [list(model.objects.order_by("pk").values()) for model in (Session, Event, Turn)] == rows


def test_an_end_before_its_start_in_one_batch_is_refused():
    session = make_session()
    with pytest.raises(InvalidRequest):
        make_events(session, end(), START)
    assert not session.turns.exists()


def test_the_item_that_is_named_is_the_one_that_was_sent_whatever_was_known_or_joined_before_it():
    session = after({"type": "info", "event_id": "known"})
    delta = {"type": "text_delta", "text": "a"}
    with pytest.raises(InvalidRequest) as refused:
        make_events(session, {"type": "info", "event_id": "known"}, delta, delta, delta, end())
    assert refused.value.errors[0].field == "events.4.turn_id"


def test_a_turn_of_another_session_is_not_known_here():
    after(START)
    with pytest.raises(InvalidRequest):
        after(end())


def test_a_turn_that_a_state_told_of_may_end_and_began_when_the_state_was_set():
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id="t", by="test", now=NOW)
    make_events(session, end(), now=NOW + timedelta(seconds=5))
    session.refresh_from_db()
    assert (session.state, session.turn_id, session.turn_count) == ("idle", None, 1)
    turn = session.turns.get()
    assert (turn.turn_id, turn.reason, turn.started_at) == ("t", "complete", NOW)
    assert turn.ended_at == NOW + timedelta(seconds=5)


@pytest.mark.parametrize("event", [{**START, "turn_id": "u"}, end(), {"type": "text_delta", "text": "so"}])
def test_what_was_asked_while_a_state_named_no_turn_is_over_with_the_next_turn(event):
    session = after(START)
    protocol.set_state(session.pk, "running", turn_id=None, by="test", now=NOW)
    make_events(session, QUESTION, now=NOW)
    make_events(session, event, now=NOW + timedelta(seconds=5))
    session.refresh_from_db()
    assert (session.needs, requests_of(session)) == ("", [("input", "expired")])


def test_a_start_goes_on_from_what_was_asked_in_the_turn_that_a_state_named():
    session = make_session()
    protocol.set_state(session.pk, "running", turn_id="u", by="test", now=NOW)
    make_events(session, APPROVAL, START, now=NOW)
    session.refresh_from_db()
    assert (session.needs, requests_of(session)) == ("", [("approval", "expired")])


@pytest.mark.parametrize(("kind", "state"), [("complete", ("idle", None)), ("error", ("error", "t"))])
def test_a_state_that_names_a_turn_which_has_ended_is_over_with_its_second_end(kind, state):
    session = after(START, end("cancelled"))
    protocol.set_state(session.pk, "running", turn_id="t", by="test", now=NOW + timedelta(seconds=5))
    make_events(session, CALL, APPROVAL, end(kind), now=NOW + timedelta(seconds=6))
    session.refresh_from_db()
    assert (session.state, session.turn_id) == state
    assert (session.needs, session.doing) == ("", "")
    assert (calls_of(session), requests_of(session)) == ([("c", "aborted")], [("approval", "expired")])
    turn = session.turns.get()
    assert (turn.reason, turn.ended_at) == ("cancelled", NOW + timedelta(seconds=1))


@pytest.mark.parametrize(("state", "turn_id"), [("idle", "t"), ("error", "t"), ("running", None), ("running", "u")])
def test_no_other_state_begins_a_turn(state, turn_id):
    session = make_session()
    protocol.set_state(session.pk, state, turn_id=turn_id, by="test", now=NOW)
    with pytest.raises(InvalidRequest):
        make_events(session, end())


def test_a_request_keeps_what_was_asked():
    session = after(START, APPROVAL, CAP, QUESTION)
    approval, cap, question = session.requests.order_by("id")
    assert (approval.request_id, approval.tool_name, approval.detail, approval.preview) == (
        "a",
        "Bash",
        "rm x",
        {"kind": "DeleteFile"},
    )
    assert (cap.request_id, cap.options, "200" in cap.detail) == ("", ["Bash", "Edit"], True)
    assert (question.request_id, question.detail, question.options) == ("q", "Which?", ["a", "b"])
    assert [one.opened_at for one in (approval, cap, question)] == [NOW + timedelta(seconds=n) for n in (1, 2, 3)]
    assert session.events.get(seq=cap.opened_seq).type == "loop_cap_reached"
    assert (session.needs, session.needs_since) == ("approval", NOW + timedelta(seconds=1))
    assert {request.turn_id for request in (approval, cap, question)} == {"t"}


def test_requests_of_another_turn_stay_open_at_an_end():
    session = after(START, {**APPROVAL, "turn_id": "u"}, end())
    assert requests_of(session) == [("approval", "open")]
    assert session.needs == "approval"


def test_a_command_about_a_turn_expires_with_it_and_others_do_not():
    session = after(START)
    about, plain = (
        Command.objects.create(session=session, body={}, turn_id=turn, created_at=NOW) for turn in ("t", None)
    )
    make_events(session, end())
    assert [Command.objects.get(pk=one.pk).status for one in (about, plain)] == [
        CommandStatus.EXPIRED,
        CommandStatus.REQUESTED,
    ]
