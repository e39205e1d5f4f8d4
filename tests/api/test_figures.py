"""GET /stats."""

import pytest
import time_machine

from sessions.models import TokenCounts
from tests.engine_events import CALL, NOW, RESULT, START, end
from tests.factories import make_events, make_session, make_user
from tests.message_drafts import append, user

pytestmark = pytest.mark.django_db


@time_machine.travel(NOW, tick=False)
def test_the_figures_of_a_period_come_with_every_kind_apart(agent, owner):
    session = make_session(owner, project_root="/w/a")
    make_events(session, START, CALL, RESULT, end())
    counts = TokenCounts(prompt_tokens=5, completion_tokens=2, cache_read_tokens=9)
    append(session, user(usage=counts))
    make_events(make_session(make_user()), START)

    answer = agent.get("stats?days=1")

    tokens = {**counts.as_dict(), "total_tokens": 7}
    assert answer["tokens"] == tokens
    assert answer["by_agent"] == [{"name": "koda", "tokens": tokens}]
    assert answer["by_project"] == [{"name": "/w/a", "tokens": tokens}]
    assert answer["by_day"] == [
        {"day": str(NOW.date()), "tokens": tokens, "working_seconds": 0, "waiting_seconds": 0},
    ]
    bash = {"tool_name": "Bash", "total": 1, "successful": 1, "failed": 0, "rejected": 0, "aborted": 0, "open": 0}
    assert answer["by_tool"] == [bash]
    assert answer["tools"] == {**bash, "tool_name": ""}
    assert answer["turns"]["complete"] == answer["turns"]["count"] == 1
    assert (answer["session_count"], answer["working_seconds"], answer["time_saved_seconds"]) == (1, 0, None)


def test_what_nobody_reported_is_null(agent):
    answer = agent.get("stats")
    assert (answer["tokens"], answer["working_seconds"], answer["turns"]["median_seconds"]) == (None, None, None)
    assert (answer["session_count"], answer["by_day"], answer["tools"]["total"]) == (0, [], 0)


def test_a_filter_narrows(agent, owner):
    make_session(owner, agent_name="a", project_root="/a")
    make_session(owner, agent_name="b", source="desk")
    for query in ("agent_name=a", "project_root=/a", "source=desk"):
        assert agent.get(f"stats?{query}")["session_count"] == 1, query


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_a_number_of_days_that_is_none_is_refused(agent, days):
    assert agent.get(f"stats?days={days}").status == 422


@pytest.mark.parametrize("name", ["agent_name", "project_root", "source"])
def test_a_filter_that_can_be_no_name_is_refused(agent, name):
    for wrong in ("%00", "a%00b", "x" * 2001):
        answer = agent.get(f"stats?{name}={wrong}")
        assert (answer.status, answer.fields) == (422, [name]), wrong[:9]


def test_time_saved_is_what_is_configured_for_the_successful_calls(owner, agent, settings):
    settings.KODA_TIME_SAVED_PER_CALL = {"Bash": 30.0, "Other": 5.0}
    session = make_session(owner)
    start = {"type": "tool_call_start", "name": "Bash", "args": {}}
    end = {"type": "tool_call_result", "name": "Bash", "output": "fine"}
    for call_id, is_error in (("a", False), ("b", False), ("c", True)):
        make_events(session, {**start, "id": call_id}, {**end, "id": call_id, "is_error": is_error})

    assert agent.get("stats")["time_saved_seconds"] == 60
    assert agent.get(f"sessions/{session.uuid}/stats")["total_time_saved_seconds"] == 60
    settings.KODA_TIME_SAVED_PER_CALL = {"Other": 5.0}
    assert agent.get("stats")["time_saved_seconds"] is None
