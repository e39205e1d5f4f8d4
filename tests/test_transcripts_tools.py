"""transcripts.append: calls and results find each other, whichever way and order they come."""

from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions.models import Session, ToolCall
from sessions.transcripts import MessageDraft
from tests.factories import make_events, make_session
from tests.message_drafts import NOW, answering, append, asking, calls_of, tool_counts, user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("call", "name", "args", "detail"),
    [
        ({"function_name": "Bash", "arguments": '{"command": "ls"}'}, "Bash", '{"command": "ls"}', "ls"),
        ({"name": "Read", "input": {"path": "/a"}}, "Read", {"path": "/a"}, "/a"),
        ({"function": {"name": "Grep", "arguments": '{"pattern": "x"}'}}, "Grep", '{"pattern": "x"}', "x"),
        ({}, "?", None, ""),
        ({"function": "odd", "name": None}, "?", None, ""),
        ({"name": ["odd"]}, "['odd']", None, ""),
    ],
)
def test_a_call_is_read_in_each_of_the_shapes_that_agents_use(call, name, args, detail):
    session = make_session()
    append(session, MessageDraft(role="assistant", tool_calls=[{"id": "c", **call}]))
    row = session.tool_calls.get()
    assert (row.name, row.args, row.detail, row.started_at, row.is_timed) == (name, args, detail, NOW, False)


@pytest.mark.parametrize(
    "calls",
    ["text", {"id": "c"}, [], [None, 3, "c"], [{}], [{"id": None}], [{"id": ""}], [{"id": 3}], [{"id": "x" * 2001}]],
)
def test_what_is_no_call_opens_none_and_is_kept_as_it_was(calls):
    session = make_session()
    append(session, MessageDraft(role="assistant", tool_calls=calls))
    assert (calls_of(session), session.tool_call_count, session.messages.get().tool_calls) == ([], 0, calls)


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_only_assistants_call_tools(role):
    session = make_session()
    append(session, MessageDraft(role=role, tool_calls=[{"id": "c"}]))
    assert calls_of(session) == []


ASK, ANSWER = asking("c"), answering("c")


@pytest.mark.parametrize("batches", [[(ASK, ANSWER)], [(ASK,), (ANSWER,)], [(ANSWER, ASK)], [(ANSWER,), (ASK,)]])
def test_a_call_and_its_result_find_each_other_in_whichever_order_they_come(batches):
    session = make_session()
    ids = {}
    for batch in batches:
        ids |= dict(zip([draft.role for draft in batch], append(session, *batch).ids, strict=True))
    assert calls_of(session) == [("c", "success", ids["assistant"], ids["tool"])]
    assert tool_counts(session) == (1, 1, 0, 0, 0)


def test_several_calls_of_one_message_close_one_by_one_in_any_order():
    session = make_session()
    append(session, asking("a", "b", "c"))
    append(session, answering("c"), answering("a", "[cancelled]"))
    assert [row[:2] for row in calls_of(session)] == [("a", "aborted"), ("b", None), ("c", "success")]
    assert tool_counts(session) == (3, 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("content", "outcome", "expected"),
    [
        ("fine", None, "success"),
        (None, None, "success"),
        ("User rejected this action.", None, "rejected"),
        ("[rejected: outside]", None, "rejected"),
        ("[cancelled]", None, "aborted"),
        ("[cancelled]", "failed", "failed"),
    ],
)
def test_the_outcome_is_what_the_sender_knows_or_the_text_tells(content, outcome, expected):
    session = make_session()
    append(session, asking("c"), answering("c", content, outcome=outcome))
    assert calls_of(session)[0][1] == expected


def test_the_outcome_of_an_early_result_is_not_forgotten():
    session = make_session()
    append(session, answering("c", "text", outcome="failed"), asking("c"))
    assert calls_of(session)[0][1] == "failed"


def test_a_result_without_a_call_is_a_message_and_nothing_more():
    session = make_session()
    append(session, answering("nobody"))
    assert (calls_of(session), tool_counts(session), session.message_count) == ([], (0, 0, 0, 0, 0), 1)


def test_an_id_used_again_is_another_call_with_another_result():
    session = make_session()
    first = append(session, asking("c"), answering("c", "one")).ids
    second = append(session, asking("c"), answering("c", "two")).ids
    assert calls_of(session) == [("c", "success", *first), ("c", "success", *second)]
    third = append(session, asking("c")).ids[0]
    assert calls_of(session)[2] == ("c", None, third, None)
    assert tool_counts(session) == (3, 2, 0, 0, 0)


def test_a_second_result_for_a_call_changes_nothing():
    session = make_session()
    first = append(session, asking("c"), answering("c")).ids
    append(session, answering("c", "[cancelled]"))
    assert calls_of(session) == [("c", "success", *first)]
    assert tool_counts(session) == (1, 1, 0, 0, 0)


START = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "ls"}}


RESULT = {"type": "tool_call_result", "id": "c", "name": "Bash", "output": "fine"}


@pytest.mark.parametrize(
    "order",
    [
        "message start result answer", "start message result answer", "start result message answer",
        "message start answer result", "start message answer result", "message answer start result",
    ],
)  # fmt: skip
def test_events_and_messages_about_one_call_are_one_call(order):
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=NOW)
    ids = {}
    for step in order.split():
        if step in {"start", "result"}:
            make_events(session, START if step == "start" else RESULT, now=NOW)
        else:
            ids[step] = append(session, asking("c") if step == "message" else answering("c")).ids[0]
    session.refresh_from_db()
    assert calls_of(session) == [("c", "success", ids["message"], ids["answer"])]
    assert tool_counts(session) == (1, 1, 0, 0, 0)
    assert session.turns.get().tool_call_count == 1
    assert session.doing == ""
    call = session.tool_calls.get()
    assert [session.events.get(seq=seq).type for seq in (call.start_seq, call.result_seq)] == [
        START["type"],
        RESULT["type"],
    ]


def test_a_message_that_answers_ends_what_the_event_began():
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, {**START, "expect_within": 600}, now=NOW)
    append(session, asking("c"), answering("c", "User rejected this action."))
    assert (session.doing, session.expected_by) == ("", None)
    assert tool_counts(session) == (1, 0, 0, 1, 0)


def queries_of(session: Session, *drafts: MessageDraft) -> int:
    with CaptureQueriesContext(connection) as captured:
        append(session, *drafts)
    return len(captured)


MANY = 20
"""Calls and results whose rows fit into one statement each; of more there are some statements more."""


def test_a_batch_asks_the_same_number_of_queries_however_many_calls_it_tells_of():
    few, many = (
        [draft for n in range(count) for draft in (asking(f"c{n}"), answering(f"c{n}"))] for count in (1, MANY)
    )
    assert queries_of(make_session(), *few) == queries_of(make_session(), *many)
    asked, answered = make_session(), make_session()
    for session, count in ((asked, 1), (answered, MANY)):
        append(session, *(asking(f"c{n}") for n in range(count)))
    assert queries_of(asked, answering("c0")) == queries_of(answered, *(answering(f"c{n}") for n in range(MANY)))


def test_an_id_that_was_used_a_thousand_times_costs_no_more_than_a_new_one():
    session = make_session()
    append(session, *(draft for _ in range(1000) for draft in (asking("c"), answering("c"))))
    assert len(ToolCall.objects.known(session, {"c"})["c"]) == 1
    append(session, asking("c"), asking("c"))
    append(session, answering("c", "[cancelled]"), answering("c"))
    assert [row[1] for row in calls_of(session)[-2:]] == ["success", "aborted"]


LETTERS = st.sampled_from("abc")
MESSAGES = st.one_of(
    st.lists(LETTERS, max_size=3).map(lambda ids: asking(*ids)),
    st.builds(answering, LETTERS, st.sampled_from(["fine", "[cancelled]", "User rejected this action."])),
    st.just(user()),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drafts=st.lists(MESSAGES, min_size=1, max_size=12), cuts=st.lists(st.integers(1, 11), max_size=3), begun=LETTERS)
def test_a_batch_comes_to_the_same_as_its_messages_one_by_one(db, drafts, cuts, begun):
    edges = sorted({0, *cuts, len(drafts)})
    batches = [drafts[start:end] for start, end in pairwise(edges) if drafts[start:end]]
    told = [_told([[draft] for draft in drafts], begun), _told(batches, begun)]
    assert told[0] == told[1]


def _told(batches: list[list[MessageDraft]], begun: str) -> tuple:
    """Append batches to a session in which an event has begun a call; return what came of it, by places."""
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, {**START, "id": begun}, now=NOW)
    ids = [pk for batch in batches for pk in append(session, *batch).ids]
    places = {pk: place for place, pk in enumerate(ids)} | {None: None}
    calls = [(call, outcome, places[asked], places[answer]) for call, outcome, asked, answer in calls_of(session)]
    session.refresh_from_db()
    looks = (session.doing, session.same_call_count, session.turns.get().tool_call_count)
    return calls, tool_counts(session), looks
