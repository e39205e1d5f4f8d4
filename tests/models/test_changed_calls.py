"""Which calls of older messages are other than they were: what an open page is told of."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from sessions.models import Session, ToolCall
from tests.factories import make_session
from tests.message_drafts import answering, append, asking
from tests.steps import counted_steps

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING = {"names": [], "ids": [], "results": [], "aborted_since": None}


def names(session: Session, limit: int = 100, **given) -> list[str]:
    calls = ToolCall.objects.changed(session, limit=limit, **{**NOTHING, **given})
    return [call.call_id for call in calls]


def asked(*names: str) -> Session:
    """Return a session each of whose messages asks for one call; another session asks for the same."""
    session, other = make_session(), make_session()
    for one in (session, other):
        append(one, *map(asking, names))
    return session


def test_a_call_is_found_by_each_way_in_which_it_may_have_changed_the_newest_first():
    session = asked("a", "b", "c", "d")
    by_name = {call.call_id: call for call in session.tool_calls.all()}
    result = append(session, answering("c", "two\nlines")).ids
    session.tool_calls.filter(call_id="d").update(outcome="aborted", ended_at=NOW)
    assert names(session) == []
    assert names(session, names={"b", "a", "nobody's"}) == ["b", "a"]
    assert names(session, ids=[by_name["a"].pk, by_name["d"].pk]) == ["d", "a"]
    assert names(session, results=result) == ["c"]
    assert names(session, aborted_since=NOW) == ["d"]
    assert names(session, aborted_since=NOW + timedelta(microseconds=1)) == []
    found = {"names": {"a", "c"}, "ids": [by_name["b"].pk], "results": result, "aborted_since": NOW}
    assert names(session, **found) == ["d", "c", "b", "a"]
    assert names(session, limit=2, **found) == ["d", "c"]
    (call,) = ToolCall.objects.changed(session, limit=1, **{**NOTHING, "results": result})
    assert (call.output_head, call.output_line_ends) == ("two\nlines", 1)


def test_calls_that_a_new_message_brought_and_those_of_no_message_are_none_of_them():
    session = asked("a")
    fresh = append(session, asking("b")).ids
    ToolCall.objects.filter(session=session, call_id="a").update(message=None)
    assert names(session, names={"a", "b"}, results=fresh) == []
    assert names(session, names={"a", "b"}) == ["b"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="counts the steps of SQLite's machine")
@pytest.mark.parametrize(
    "ways", [("names",), ("ids",), ("results",), ("aborted_since",), ("names", "ids", "results", "aborted_since")]
)
def test_the_look_costs_the_same_however_many_calls_there_were(ways):
    session = asked("a")
    given = {"names": {"a"}, "ids": [session.tool_calls.get().pk], "results": append(session, answering("a")).ids}
    session.tool_calls.update(outcome="aborted", ended_at=NOW)
    given["aborted_since"] = NOW
    costs = []
    for count in (0, 300):
        append(session, *(asking(f"{count}-{number}") for number in range(count)))
        # Half of them succeeded since, half were aborted before.
        ended = session.tool_calls.filter(call_id__startswith=f"{count}-")
        ended.update(outcome="aborted", ended_at=NOW - timedelta(hours=1))
        ended.filter(call_id__endswith="1").update(outcome="success", ended_at=NOW + timedelta(hours=1))
        names(session, **{way: given[way] for way in ways})  # the statement is made
        with counted_steps() as steps:
            assert names(session, **{way: given[way] for way in ways}) == ["a"]
        costs.append(steps.count)
    assert costs[1] < 1.2 * costs[0], costs
