"""The turn protocol: tool calls, their budgets and outcomes."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import effects, protocol
from sessions.models import EventDraft, Session
from sessions.models.fields import clean_text
from tests.engine_events import (
    CALL,
    NOW,
    RESULT,
    START,
    after,
    calls_of,
    end,
)
from tests.factories import make_events, make_message, make_session
from tests.message_drafts import answering, append, asking

pytestmark = pytest.mark.django_db


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
    make_events(session, end(), {**START, "turn_id": "u"}, {**START, "turn_id": "w"})
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


@pytest.mark.parametrize("odd", ["c'\"\\%s?", "c é\n😀", "1.0", "null"])
def test_a_call_is_found_by_the_id_that_it_was_given_whatever_that_is(odd):
    session = after(START, {**CALL, "id": odd}, {**RESULT, "id": odd})
    append(session, asking(odd), answering(odd))  # the messages that tell of it, too
    assert calls_of(session) == [(odd, "success")]


@pytest.mark.parametrize("odd", ["c\x00", "c\ud800"])
def test_broken_characters_in_the_ids_of_a_message_do_not_part_a_call_from_its_result(odd):
    session = after(START, {**CALL, "id": clean_text(odd)})
    append(session, asking(odd), answering(clean_text(odd)))
    assert calls_of(session) == [(clean_text(odd), "success")]


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


@pytest.mark.parametrize(
    ("event", "doing"),
    [
        ({"type": "sub_agent_start", "agent_name": "finder"}, "Sub-agent"),
        ({"type": "text_delta", "text": "I wait"}, "Writing"),
        ({"type": "thinking_start"}, "Thinking"),
    ],
)
def test_what_goes_on_beside_an_open_call_leaves_its_budget(event, doing):
    session = after(START, {**CALL, "expect_within": 900}, event)
    assert (session.doing, session.expected_by) == (doing, NOW + timedelta(seconds=901))
    # Who has just moved may take as long as anybody, however short the call was to be.
    assert after(START, {**CALL, "expect_within": 10}, event).expected_by is None
    assert after(START, {**CALL, "expect_within": 900}, RESULT, event).expected_by is None


def test_where_no_call_is_open_a_word_of_the_model_asks_for_no_budget():
    session = after(START, {**CALL, "expect_within": 900}, RESULT)
    with CaptureQueriesContext(connection) as queries:
        make_events(session, {"type": "text_delta", "text": "Done"})
    assert not [one["sql"] for one in queries if "koda_sessions_toolcall" in one["sql"]]


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


def test_a_call_that_was_announced_before_its_turn_began_counts_in_the_turn_in_which_it_begins():
    session = make_session()
    append(session, asking("c", "d"))
    make_events(session, START, CALL, RESULT, end(), {**START, "turn_id": "u"}, {**CALL, "id": "d", "turn_id": "u"})
    counts = dict(session.turns.values_list("turn_id", "tool_call_count"))
    assert counts == {"t": 1, "u": 1}


def test_a_call_that_was_announced_in_one_turn_and_begins_in_the_next_counts_there_alone():
    session = after(START)
    append(session, asking("c", "d"))
    make_events(session, end(), {**START, "turn_id": "u"}, {**CALL, "turn_id": "u"})
    counts = dict(session.turns.values_list("turn_id", "tool_call_count"))
    assert counts == {"t": 1, "u": 1}


@pytest.mark.parametrize("events", [[end()], [START, end()], [START, {**CALL, "id": "x"}, end()]])
def test_calls_of_messages_count_in_the_turn_that_a_state_named(events):
    session = make_session()
    append(session, asking("before"))
    protocol.set_state(session.pk, "running", turn_id="t", by="test")
    append(session, asking("a", "b"), answering("a", "ok"))
    make_events(session, *events)
    assert session.turns.get().tool_call_count == session.tool_calls.filter(turn_id="t").count() >= 2


@pytest.mark.parametrize("before", [[], [START], [START, {**CALL, "id": "x"}, end()]])
def test_calls_whose_events_name_a_turn_before_its_start_count_in_it(before):
    early = [{**CALL, "turn_id": "u"}, {**CALL, "id": "d", "turn_id": "u"}]
    session = after(*before, *early)
    make_events(session, {**RESULT, "turn_id": "u"}, {**START, "turn_id": "u"}, {**CALL, "id": "e", "turn_id": "u"})
    assert session.turns.get(turn_id="u").tool_call_count == session.tool_calls.filter(turn_id="u").count() == 3


def test_a_start_asks_as_often_as_ever(django_assert_num_queries):
    session = after(START, CALL, end())
    locked = Session.objects.locked(session.pk)
    stage = effects.Stage(session=locked, now=NOW)
    with django_assert_num_queries(3):  # the turn; the open ones beside it; its row
        effects.turn_start(stage, EventDraft(type="turn_start", turn_id="u"))


def test_the_next_turn_does_not_go_on_with_what_the_last_one_did():
    session = after(START, {**CALL, "expect_within": 600}, {**START, "turn_id": "u"})
    assert (session.doing, session.doing_detail, session.expected_by) == ("", "", None)


def test_a_call_that_no_result_ever_closed_is_not_what_a_later_turn_does():
    stray = {**CALL, "id": "stray", "turn_id": None, "expect_within": 3600}
    session = after(stray, START, CALL, RESULT)
    assert (session.doing, session.expected_by) == ("", None)
