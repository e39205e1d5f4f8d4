"""The calls of a session whose history is rewritten: what they came to, and that none counts twice."""

import pytest

from sessions import recounting, tool_stats
from sessions.models import Checkpoint, Session
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.purging import purge
from tests.test_checkpoint_records import fork_of, outcomes, session_of, shown, tokens
from tests.test_checkpoints import add, begin, messages_of

pytestmark = pytest.mark.django_db

CANCELLED = "TOOL_CALL_CANCELLED"


def figures(checkpoint: Checkpoint) -> dict[str, int]:
    """Return the counters of a session that no purge lowers, and hold the statistics of its calls against them."""
    session = session_of(checkpoint)
    assert recounting.differences(session) == []
    stats = tool_stats.stats_of(Session.objects.filter(pk=session.pk))
    assert stats.count("total") == session.tool_call_count
    names = ("total_tokens", "api_call_count", "tool_call_count", "tool_success_count", "tool_aborted_count")
    return {name: getattr(session, name) for name in names}


@pytest.mark.parametrize("meanwhile", [[user("other")], [user("a"), user("other")]])
def test_a_history_that_comes_back_after_a_purge_counts_nothing_again(meanwhile):
    told = [
        user("a"), says("b", call("c1"), call("c2"), **usage(100, 10)), result("c1"), result("c2", CANCELLED),
        says("d", **usage(200, 20)),
    ]  # fmt: skip
    first = begin([user("a")])
    spent = figures(add(first, told))
    add(first, meanwhile)
    purge("compacted")
    for _ in range(2):
        newest = add(first, told)
        assert figures(newest) == spent
        assert outcomes(newest) == {"c1": "success", "c2": "aborted"}
        assert [words for _, words in shown(newest)] == ["a", "b", "done", CANCELLED, "d"]
        assert messages_of(newest) == told
        add(first, meanwhile)
        purge("compacted")

    newest = add(first, [*told, says("e", call("c3"), **usage(1, 1))])
    grown = {"total_tokens": 332, "api_call_count": 3, "tool_call_count": 3, "tool_success_count": 1}
    assert figures(newest) == {**grown, "tool_aborted_count": 1}


def test_an_answer_that_was_resumed_from_twice_is_no_new_one():
    """Each resume may append a mark to the last answer (2.5), one that was loaded with such a mark included."""
    told = [user("a"), says("b", call("c1"), **usage(100, 10)), user("c"), says("d", **usage(200, 20))]
    first = begin(told)
    mark = "\n<checkpoint_id>0199</checkpoint_id>"
    add(first, [user("a"), says(f"b{mark}", call("c1")), user("e")])
    newest = add(first, [user("a"), says(f"b{mark}{mark}", call("c1")), user("f"), says("d", **usage(300, 30))])

    counts = {"total_tokens": 660, "api_call_count": 3, "tool_call_count": 1}
    assert counts.items() <= figures(newest).items()
    assert [words for _, words in shown(newest)] == ["a", "b", "f", "d"]


@pytest.mark.parametrize("is_purged", [False, True])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_call_that_was_left_by_going_back_is_no_new_one_when_the_agent_returns(is_purged, kept):
    """Who reverts sends a shorter history, and may load the longer checkpoint again and go on from there (2.5)."""
    told = [user("a"), user("b"), says("c", call("c1"), **usage(100, 10))]
    more = [*told, result("c1", "Error: no"), says("d", **usage(200, 20))]
    first = begin(told[:1])
    add(first, told)
    add(first, told[:kept])
    if is_purged:
        purge("compacted")
    newest = add(first, more)

    counts = {"total_tokens": 330, "api_call_count": 2, "tool_call_count": 1, "tool_success_count": 0}
    assert counts.items() <= figures(newest).items()
    assert outcomes(newest) == {"c1": "failed"}
    assert [words for _, words in shown(newest)] == ["a", "b", "c", "Error: no", "d"]
    assert messages_of(newest) == more


def test_a_call_that_comes_back_open_after_a_purge_ends_once():
    told = [user("a"), says("b", call("c1"))]
    first = begin(told)
    assert figures(add(first, [user("other")]))["tool_aborted_count"] == 1
    purge("compacted")
    newest = add(first, told)
    assert (outcomes(newest), session_of(newest).doing) == ({"c1": None}, "run_command")
    newest = add(first, [*told, result("c1"), says("d")])

    ended = figures(newest)
    assert (ended["tool_call_count"], ended["tool_success_count"], ended["tool_aborted_count"]) == (1, 1, 0)
    assert outcomes(newest) == {"c1": "success"}


def test_a_purge_in_a_fork_makes_its_copies_nobody_elses():
    told = [user("a"), says("b", call("c1"), **usage(100, 10)), result("c1"), says("d")]
    first = Checkpoint.objects.get(session=fork_of(begin(told)))
    add(first, [user("other")])
    purge("compacted")
    newest = add(first, told)

    assert tokens(newest) == (0, 0)
    assert session_of(newest).tool_call_count == 1
    assert tool_stats.stats_of(Session.objects.filter(pk=first.session_id)).count("total") == 0


ASKED = [user("a"), says("b", call("x"))]
CUT_OFF = [*ASKED, result("x", CANCELLED)]
DONE = [*ASKED, result("x", "fine"), says("done")]
FAILED = [*ASKED, result("x", "Error: no"), says("failed")]


def counted(checkpoint: Checkpoint) -> dict[str, int]:
    """Return the counters of calls that are not zero, held against the rows."""
    session = session_of(checkpoint)
    assert recounting.differences(session) == []
    names = ("success", "failed", "rejected", "aborted")
    counts = {name: getattr(session, f"tool_{name}_count") for name in names}
    return {"calls": session.tool_call_count, **{name: count for name, count in counts.items() if count}}


def test_a_call_that_is_run_again_ends_as_its_new_result_says():
    first = begin(ASKED)
    add(first, CUT_OFF)
    newest = add(first, DONE)

    assert outcomes(newest) == {"x": "success"}
    assert counted(newest) == {"calls": 1, "success": 1}
    row = session_of(newest).tool_calls.get()
    assert row.result_message is not None
    assert (row.result_message.content, row.result_message.compacted_at) == ("fine", None)
    assert row.ended_at == row.result_message.created_at


def test_a_result_that_comes_back_counts_again():
    first = begin(ASKED)
    for told, outcome in ((CUT_OFF, "aborted"), (DONE, "success"), (FAILED, "failed"), (CUT_OFF, "aborted")) * 2:
        newest = add(first, told)
        assert outcomes(newest) == {"x": outcome}
        assert counted(newest) == {"calls": 1, outcome: 1}
        assert session_of(newest).tool_calls.get().result_message.compacted_at is None


def test_before_a_call_that_had_a_result_it_is_open_again():
    first = begin(DONE)
    newest = add(first, ASKED)
    assert (outcomes(newest), counted(newest), session_of(newest).doing) == ({"x": None}, {"calls": 1}, "run_command")

    rewritten = session_of(newest).events.filter(type="server.history_rewritten").latest("seq")
    assert rewritten.payload["tool_call_ids"] == [session_of(newest).tool_calls.get().pk]
    newest = add(first, FAILED)
    assert (outcomes(newest), counted(newest)) == ({"x": "failed"}, {"calls": 1, "failed": 1})


@pytest.mark.parametrize("mark", ["", "\n<checkpoint_id>0199</checkpoint_id>"])
def test_a_call_that_was_opened_by_going_back_ends_as_before_when_its_result_returns(mark):
    first = begin(DONE)
    asked = [user("a"), says(f"b{mark}", call("x"))]
    assert outcomes(add(first, asked)) == {"x": None}
    newest = add(first, [*asked, *DONE[2:], user("more")])

    assert (outcomes(newest), counted(newest)) == ({"x": "success"}, {"calls": 1, "success": 1})
    row = session_of(newest).tool_calls.get()
    assert (row.result_message.content, row.result_message.compacted_at) == ("fine", None)


def test_a_result_that_left_the_context_counts_until_another_comes():
    """Autopilot leaves results out of a reduced history and sends the whole one again (3.6)."""
    first = begin(DONE)
    newest = add(first, [*ASKED, user("[trimmed]")])
    assert (outcomes(newest), counted(newest)) == ({"x": "success"}, {"calls": 1, "success": 1})

    newest = add(first, [*ASKED, user("[trimmed]"), result("x", "Error: late")])
    assert (outcomes(newest), counted(newest)) == ({"x": "failed"}, {"calls": 1, "failed": 1})


def test_of_two_results_in_one_history_the_one_that_stays_counts():
    first = begin([*ASKED, result("x", "fine"), result("x", "Error: no"), says("c")])
    assert outcomes(first) == {"x": "success"}
    newest = add(first, [*ASKED, result("x", "Error: no"), says("c")])

    assert (outcomes(newest), counted(newest)) == ({"x": "failed"}, {"calls": 1, "failed": 1})


def test_an_id_that_is_used_twice_has_each_result_with_its_call():
    again = [says("again", call("x")), result("x", "Error: no")]
    first = begin([*DONE, *again])
    assert [row.outcome for row in session_of(first).tool_calls.order_by("pk")] == ["success", "failed"]
    newest = add(first, [*DONE, again[0], result("x", CANCELLED)])

    assert [row.outcome for row in session_of(newest).tool_calls.order_by("pk")] == ["success", "aborted"]
    assert counted(newest) == {"calls": 2, "success": 1, "aborted": 1}


def test_what_was_told_anew_and_stands_in_its_old_place_again_has_its_calls():
    first = begin(DONE)
    add(first, [user("[trimmed]"), *DONE[1:]])
    newest = add(first, DONE)

    row = session_of(newest).tool_calls.get()
    assert row.message is not None
    assert row.result_message is not None
    assert (row.message.compacted_at, row.result_message.compacted_at) == (None, None)
    assert counted(newest) == {"calls": 1, "success": 1}
