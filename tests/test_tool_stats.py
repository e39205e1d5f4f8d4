"""tool_stats: calls by tool and outcome with the trait's names, of one session and of all."""

import pytest

from sessions.models import Session
from sessions.tool_stats import display_name, stats_of, usage_of
from tests.api.stakpak.calling import call, result, says, storage_of, user
from tests.api.stakpak.rust import StorageError
from tests.factories import make_session, make_user
from tests.test_checkpoints import add, begin

pytestmark = pytest.mark.django_db

HISTORY = [
    user("a"),
    says(None, call("1"), call("2"), call("3"), call("4", name="stakpak__view"), call("5", name="own_tool")),
    result("1"), result("2", "[MCP_TOOL_CALL_ERROR] no"), result("3", "TOOL_CALL_REJECTED"), result("4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("stakpak__run_command", "Run Command"),
        ("view", "View"),
        ("Bash", "Bash"),
        ("other__server__odd_name", "Server Odd Name"),
        ("readFile", "ReadFile"),
        ("__", "__"),
        ("", ""),
    ],
)
def test_a_tool_is_named_as_people_read_it(name, shown):
    assert display_name(name) == shown


def test_the_figures_of_one_session():
    stats = stats_of(Session.objects.filter(pk=begin(HISTORY).session_id))

    assert (stats.total_sessions, stats.sessions_with_activity) == (1, 1)
    assert [stats.count(name) for name in ("total", "successful", "failed", "aborted")] == [5, 2, 1, 1]
    run, own, view = stats.tools_usage
    assert (run.tool_name, run.display_name) == ("stakpak__run_command", "Run Command")
    assert (run.total, run.successful, run.failed, run.aborted) == (3, 1, 1, 1)
    assert (view.total, view.successful) == (1, 1)
    assert (own.total, own.successful, own.failed, own.aborted) == (1, 0, 0, 0)  # it is pending
    assert stats.total_time_saved_seconds is None


def test_calls_of_all_branches_count_once():
    first = begin(HISTORY)
    add(first, [*HISTORY[:1], says(None, call("6")), result("6")])
    add(first, HISTORY)

    assert stats_of(Session.objects.filter(pk=first.session_id)).count("total") == 6


def test_time_saved_is_what_is_configured_for_the_calls_that_succeeded(settings):
    settings.KODA_TIME_SAVED_PER_CALL = {"view": 2.5, "stakpak__run_command": 30.0}
    stats = stats_of(Session.objects.filter(pk=begin(HISTORY).session_id))

    assert {tool.tool_name: (tool.time_saved_per_call, tool.time_saved_seconds) for tool in stats.tools_usage} == {
        "stakpak__run_command": (30.0, 30), "stakpak__view": (2.5, 2), "own_tool": (None, None),
    }  # fmt: skip
    assert stats.total_time_saved_seconds == 32


def test_the_same_tool_of_two_servers_stays_two():
    names = [one.tool_name for one in usage_of([("a__x", None, 1), ("b__x", "success", 2)], per_call={})]

    assert names == ["b__x", "a__x"]


def test_the_figures_cost_the_same_for_one_and_for_many(django_assert_num_queries):
    for _ in range(3):
        begin(HISTORY)
    with django_assert_num_queries(2):
        assert stats_of(Session.objects.all()).count("total") == 15


FIELDS = {
    "total_sessions", "total_tool_calls", "successful_tool_calls", "failed_tool_calls", "aborted_tool_calls",
    "sessions_with_activity", "total_time_saved_seconds", "tools_usage",
}  # fmt: skip


def test_they_are_told_with_the_names_of_the_trait():
    owner = make_user()
    storage = storage_of(owner)
    session = storage.create_session("s", HISTORY)["session_id"]
    storage.create_session("idle")
    make_session(owner)
    storage_of(make_user()).create_session("theirs", HISTORY, visibility="PUBLIC")

    one = storage.send("GET", f"/sessions/{session}/stats", read=lambda value, _at: value)
    over_all = storage.send("GET", "/sessions/stats", read=lambda value, _at: value)
    assert set(one) == set(over_all) == FIELDS
    assert (one["total_sessions"], one["total_tool_calls"], one["aborted_tool_calls"]) == (1, 5, 1)
    assert one["total_time_saved_seconds"] is None
    assert one["tools_usage"][0] == {
        "tool_name": "stakpak__run_command",
        "display_name": "Run Command",
        "usage_counts": {"total": 3, "successful": 1, "failed": 1, "aborted": 1},
        "time_saved_per_call": None,
        "time_saved_seconds": None,
    }
    assert (over_all["total_sessions"], over_all["sessions_with_activity"], over_all["total_tool_calls"]) == (3, 1, 5)


def test_statistics_of_what_one_may_not_see_do_not_exist():
    session = storage_of(make_user()).create_session("theirs", HISTORY)["session_id"]

    with pytest.raises(StorageError) as caught:
        storage_of(make_user()).send("GET", f"/sessions/{session}/stats")
    assert caught.value.kind == "NotFound"
