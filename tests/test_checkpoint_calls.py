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
