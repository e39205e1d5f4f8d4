"""The turn protocol: what each engine event does to the session, its turn, its tool calls and its requests."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions import protocol
from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Command, CommandStatus, Event, EventDraft, Session
from sessions.models.fields import clean_json
from tests.factories import make_events, make_message, make_session
from tests.models.bells import listening

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

START = {"type": "turn_start", "turn_id": "t"}
CALL = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "ls"}, "turn_id": "t"}
RESULT = {"type": "tool_call_result", "id": "c", "name": "Bash", "output": "fine", "turn_id": "t"}
APPROVAL = {
    "type": "approval_request",
    "id": "a",
    "tool_name": "Bash",
    "detail": "rm x",
    "preview": {"kind": "DeleteFile"},
}
CAP = {"type": "loop_cap_reached", "cap": 200, "recent_tools": ["Bash", "Edit"]}
QUESTION = {"type": "ask_user_request", "id": "q", "question": "Which?", "options": ["a", "b"]}


def end(kind: str = "complete", *, turn_id: str = "t", **reason) -> dict:
    return {"type": "turn_end", "turn_id": turn_id, "reason": {"kind": kind, **reason}}


def after(*events: dict, session: Session | None = None, **facts) -> Session:
    """Return a session after these events, each in a batch of its own, a second apart."""
    session = session or make_session()
    for second, event in enumerate(events):
        make_events(session, event, now=NOW + timedelta(seconds=second))
    session.refresh_from_db()
    return session


def turns_of(session: Session) -> list[tuple]:
    return list(session.turns.order_by("id").values_list("turn_id", "reason"))


def calls_of(session: Session) -> list[tuple]:
    return list(session.tool_calls.order_by("id").values_list("call_id", "outcome"))


def requests_of(session: Session) -> list[tuple]:
    return list(session.requests.order_by("id").values_list("kind", "status"))


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
    ("an end without a start is a turn that ended", [end()], ("idle", None, "", ""), [("t", "complete")], [], []),
    (
        "the end of another turn moves nothing",
        [START, end(turn_id="u")],
        ("running", "t", "", ""), [("t", None), ("u", "complete")], [], [],
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
        "next_deadline_at",
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


def test_a_turn_of_which_only_the_end_came_has_no_start():
    assert after(end()).turns.get().started_at is None


def test_turns_and_calls_are_counted_with_their_outcomes():
    call = {"type": "tool_call_start", "name": "Bash", "turn_id": "t"}
    session = after(
        START,
        *({**call, "id": name} for name in "abcdef"),
        {"type": "tool_call_result", "id": "a", "output": "fine"},
        {"type": "tool_call_result", "id": "b", "output": "no", "is_error": True},
        {"type": "tool_call_result", "id": "c", "output": "User rejected this action."},
        {"type": "tool_call_result", "id": "d", "output": "[cancelled]"},
        {"type": "tool_call_result", "id": "e", "output": "User rejected this", "outcome": "success"},
    )
    counts = ("tool_call_count", "tool_success_count", "tool_failed_count", "tool_rejected_count", "tool_aborted_count")
    assert [getattr(session, name) for name in counts] == [6, 2, 1, 1, 1]
    make_events(session, end(), {**START, "turn_id": "u"}, end(turn_id="w"))
    session.refresh_from_db()
    assert [getattr(session, name) for name in counts] == [6, 2, 1, 1, 2]
    assert session.turn_count == 3
    assert session.turns.get(turn_id="t").tool_call_count == 6


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"output": "fine"}, "success"),
        ({"output": ""}, "success"),
        ({}, "success"),
        ({"output": {"odd": 1}}, "success"),
        ({"output": "x", "is_error": True}, "failed"),
        ({"output": "x", "is_error": "yes"}, "success"),
        ({"output": "User rejected this action with feedback: no"}, "rejected"),
        ({"output": "[rejected by user]"}, "rejected"),
        ({"output": "[rejected: outside the project]"}, "rejected"),
        ({"output": "[cancelled]"}, "aborted"),
        ({"output": "it said [cancelled]"}, "success"),
        ({"output": "fine", "outcome": "failed"}, "failed"),
        ({"output": "fine", "outcome": "odd"}, "success"),
        ({"output": "fine", "outcome": ["odd"]}, "success"),
    ],
)
def test_the_outcome_is_what_the_agent_says_or_kodas_own_words(result, outcome):
    session = after(START, CALL, {"type": "tool_call_result", "id": "c", **result})
    assert calls_of(session) == [("c", outcome)]


def test_a_result_says_where_its_output_stands():
    session = after(START, CALL, RESULT)
    call = session.tool_calls.get()
    assert session.events.get(seq=call.start_seq).type == "tool_call_start"
    assert session.events.get(seq=call.result_seq).payload["output"] == "fine"
    assert call.took_seconds == 1


def test_an_id_used_again_is_another_call():
    session = after(START, CALL, RESULT, CALL)
    assert calls_of(session) == [("c", "success"), ("c", None)]
    make_events(session, {**RESULT, "is_error": True})
    assert calls_of(session) == [("c", "success"), ("c", "failed")]


@pytest.mark.parametrize(
    ("args", "detail"),
    [
        ({"command": "cargo  test\n -q"}, "cargo test -q"),
        ('{"file_path": "/a"}', "/a"),
        ("not json", "not json"),
        ({"n": 3, "odd": "x"}, "x"),
        ({"command": "", "path": "/b"}, "/b"),
        (None, ""),
        ([1], ""),
        ({"command": "x" * 900}, "x" * 200),
    ],
)
def test_a_call_shows_the_argument_that_matters(args, detail):
    session = after(START, {**CALL, "args": args})
    call = session.tool_calls.get()
    assert (call.detail, call.args) == (detail, args)
    assert session.doing_detail == detail


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


def test_a_footer_gives_the_turn_its_figures():
    footer = {
        "type": "footer", "prompt_tokens": 10, "completion_tokens": 20, "cache_read_tokens": 0, "thinking_tokens": 3,
        "elapsed_ms": 4500, "rate": 1.5, "context": "context: 4k",
    }  # fmt: skip
    turn = after(START, footer).turns.get()
    assert {name: getattr(turn, name) for name in footer if hasattr(turn, name)} == {
        "prompt_tokens": 10, "completion_tokens": 20, "cache_read_tokens": 0, "thinking_tokens": 3, "elapsed_ms": 4500,
    }  # fmt: skip
    assert turn.has_final_text
    assert turn.is_open


def test_a_footer_counts_no_tokens_for_the_session():
    assert after(START, {"type": "footer", "prompt_tokens": 10}).total_tokens == 0


@pytest.mark.parametrize("odd", [-1, 2**63, 1.5, True, "12", None])
def test_a_figure_that_is_none_is_left_out(odd):
    assert after(START, {"type": "footer", "prompt_tokens": odd}).turns.get().prompt_tokens is None


def test_a_footer_without_a_turn_is_only_kept():
    assert turns_of(after({"type": "footer", "prompt_tokens": 1})) == []


@pytest.mark.parametrize(
    ("usage", "percent"),
    [
        ({"used": 50, "max": 200}, 25),
        ({"used": -1, "max": 5}, None),
        ({"used": 1}, None),
        ({"used": 9, "max": 0}, None),
    ],
)
def test_context_usage_fills_the_models_window(usage, percent):
    assert after(START, {"type": "context_usage", **usage}).context_percent == percent


def test_a_status_update_switches_model_provider_and_mode():
    session = after({"type": "status_update", "model": "m", "provider": "p", "approval_mode": "confirm"})
    assert (session.model, session.provider, session.mode) == ("m", "p", "safe")
    session = after({"type": "status_update", "model": None, "provider": 3, "approval_mode": "odd"}, session=session)
    assert (session.model, session.provider, session.mode) == ("m", "p", "safe")


def test_a_child_does_not_claim_more_trust_than_its_parent():
    child = make_session(parent=make_session(mode="plan"))
    assert after({"type": "status_update", "approval_mode": "auto"}, session=child).mode == "plan"


@pytest.mark.parametrize(
    ("seconds", "budget"),
    [
        (600, timedelta(minutes=10)), (0.5, timedelta(seconds=0.5)), (10**9, timedelta(days=1)),
        (1e300, timedelta(days=1)), (float("inf"), timedelta(days=1)),
        (0, None), (-5, None), (True, None), ("600", None), (None, None), (float("nan"), None), ([], None),
    ],
)  # fmt: skip
def test_a_call_may_bring_its_own_budget(seconds, budget):
    session = after({**CALL, "expect_within": seconds})
    assert session.expected_by == (budget and NOW + budget)


def test_a_budget_ends_with_its_call():
    assert after(START, {**CALL, "expect_within": 600}, RESULT).expected_by is None
    assert after(START, {**CALL, "expect_within": 600}, end()).expected_by is None
    session = after(START, {**CALL, "expect_within": 600}, {**CALL, "id": "d", "expect_within": 10}, RESULT)
    assert session.expected_by == NOW + timedelta(seconds=12)


def test_calls_side_by_side_have_the_longest_of_their_budgets():
    session = after(START, {**CALL, "expect_within": 600}, {**CALL, "id": "d", "name": "Read"})
    assert (session.doing, session.expected_by) == ("Read", NOW + timedelta(seconds=601))


def test_a_result_of_one_of_two_calls_leaves_the_other_as_what_it_does():
    other = {**CALL, "id": "d", "name": "Read", "args": {"path": "/x"}, "expect_within": 600}
    session = after(START, CALL, other, RESULT)
    assert (session.doing, session.doing_detail) == ("Read", "/x")
    assert session.expected_by == NOW + timedelta(seconds=602)


def test_the_message_that_announced_a_call_and_its_event_are_one_call():
    session = after(START)
    asked = [{"id": "c", "function_name": "Bash", "arguments": '{"command": "ls"}'}]
    message = make_message(session, role="assistant", content=None, tool_calls=asked)
    make_events(session, CALL, now=NOW + timedelta(seconds=5))
    call = session.tool_calls.get()
    assert (call.message_id, call.started_at, call.is_timed) == (message, NOW + timedelta(seconds=5), True)
    make_events(session, RESULT, now=NOW + timedelta(seconds=7))
    assert session.tool_calls.get().took_seconds == 2
    session.refresh_from_db()
    assert (session.tool_call_count, session.tool_success_count) == (1, 1)


def test_the_same_event_id_is_stored_once():
    session = make_session()
    first = make_events(session, {**START, "event_id": "1"}, {"type": "info", "event_id": "2"})
    again = make_events(
        session, {**START, "event_id": "1"}, {"type": "info", "event_id": "2"}, {"type": "info", "event_id": "3"}
    )
    assert (first.stored, first.duplicates, again.stored, again.duplicates) == (2, 0, 1, 2)
    assert again.last_seq == first.last_seq + 1
    assert session.turns.count() == 1


def test_a_repeat_in_one_batch_is_stored_once():
    done = make_events(make_session(), {"type": "info", "event_id": "1"}, {"type": "info", "event_id": "1"})
    assert (done.stored, done.duplicates) == (1, 1)


def test_a_batch_of_repeats_only_changes_nothing_at_all():
    session = make_session()
    make_events(session, {**START, "event_id": "1"})
    before = Session.objects.values().get(pk=session.pk)
    done = make_events(session, {**START, "event_id": "1"}, now=NOW + timedelta(days=1))
    assert (done.stored, done.duplicates, done.last_seq) == (0, 1, before["last_seq"])
    assert Session.objects.values().get(pk=session.pk) == before


def test_each_of_a_joined_run_is_known_again():
    session = make_session()
    deltas = [{"type": "text_delta", "text": letter, "event_id": letter} for letter in "abcd"]
    first = make_events(session, *deltas)
    assert first.stored == 4
    again = make_events(session, *deltas[1:3], {"type": "text_delta", "text": "e", "event_id": "e"})
    assert (again.stored, again.duplicates) == (1, 2)
    rows = session.events.filter(type="text_delta").order_by("seq")
    assert [row.payload["text"] for row in rows] == ["abcd", "e"]
    assert rows[0].parts() == ["a", "b", "c", "d"]


def test_ids_are_of_one_session_only():
    for session in (make_session(), make_session()):
        assert make_events(session, {"type": "info", "event_id": "1"}).stored == 1


def test_a_bad_item_keeps_the_whole_batch_out_and_is_named():
    session = make_session()
    before = Session.objects.values().get(pk=session.pk)
    with pytest.raises(InvalidRequest) as refused:
        make_events(session, START, {"type": "tool_call_start", "id": "c"}, {"type": "server.x"})
    assert [error.field for error in refused.value.errors] == ["events.1.name", "events.2.type"]
    assert Session.objects.values().get(pk=session.pk) == before
    assert Event.objects.filter(session=session).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_batch_rings_once_with_its_newest_number():
    session = make_session()
    with listening() as heard:
        done = make_events(session, START, CALL, RESULT, end())
    assert heard == [(session.pk, done.last_seq)]


def test_an_unknown_session_is_not_found():
    with pytest.raises(NotFound):
        protocol.ingest(10**9, [EventDraft(type="info")])


def test_an_empty_batch_is_no_batch():
    session = make_session()
    done = protocol.ingest(session.pk, [])
    assert (done.stored, done.duplicates, done.last_seq) == (0, 0, 1)


def test_a_payload_is_kept_as_it_came():
    session = make_session()
    payload = {"z": 1, "a": {"y": [], "x": None}, "big": 10**30, "f": 1.0, "text": "\x00"}
    protocol.ingest(session.pk, [EventDraft(type="odd", payload=payload)])
    assert list(session.events.get(type="odd").payload.items()) == list(clean_json(payload).items())


def test_the_next_turn_does_not_go_on_with_what_the_last_one_did():
    session = after(START, {**CALL, "expect_within": 600}, {**START, "turn_id": "u"})
    assert (session.doing, session.doing_detail, session.expected_by) == ("", "", None)


def test_a_call_that_no_result_ever_closed_is_not_what_a_later_turn_does():
    stray = {**CALL, "id": "stray", "turn_id": None, "expect_within": 3600}
    session = after(stray, START, CALL, RESULT)
    assert (session.doing, session.expected_by) == ("", None)


def test_empty_ids_are_no_ids():
    session = make_session()
    for _ in range(2):
        assert make_events(session, {"type": "info", "event_id": ""}, {"type": "info", "event_id": ""}).stored == 2
    assert session.events.filter(type="info", event_id=None).count() == 4


def test_two_ends_of_a_turn_whose_start_never_came_are_one_end():
    session = make_session()
    make_events(session, end(), end("error"))
    assert turns_of(session) == [("t", "complete")]


def test_a_turn_abandoned_in_this_very_batch_does_not_end_again():
    session = make_session()
    make_events(session, START, {**START, "turn_id": "u"}, end())
    assert turns_of(session) == [("t", "abandoned"), ("u", None)]
