"""GET and PUT …/state; GET /api/zeroclaw/running and /stuck."""

import pytest

from sessions.models import Session
from tests.api.zeroclaw.calling import ROOT, at, say, session_of

pytestmark = pytest.mark.django_db
STATE = at("k", "/state")
NINE, TEN = "2026-03-01T09:00:00.000000+00:00", "2026-03-01T10:00:00.000000+00:00"


def run(agent, key: str, time: str, time_machine) -> None:
    time_machine.move_to(f"2026-03-01 {time}Z", tick=False)
    say(agent, key)
    assert agent.put(at(key, "/state"), {"state": "running", "turn_id": f"of {key}"}).status == 200


def listed(agent, path: str) -> list[str]:
    return [one["key"] for one in agent.get(f"{ROOT}/{path}")["sessions"]]


def test_a_new_session_is_idle(agent):
    say(agent)
    assert agent.get(STATE).body == {"state": "idle", "turn_id": None, "turn_started_at": None}


def test_each_running_sets_the_start_anew_and_all_else_clears_it(agent, time_machine):
    say(agent)
    for time, expected in (("09:00", NINE), ("10:00", TEN)):
        time_machine.move_to(f"2026-03-01 {time}Z", tick=False)
        told = agent.put(STATE, {"state": "running", "turn_id": "t"}).body
        assert told == agent.get(STATE).body == {"state": "running", "turn_id": "t", "turn_started_at": expected}
    for state, turn in (("error", "t"), ("idle", None), ("error", None), ("idle", "kept"), ("idle", "")):
        told = agent.put(STATE, {"state": state, "turn_id": turn}).body
        assert told == {"state": state, "turn_id": turn, "turn_started_at": None}


def test_a_turn_that_is_not_said_is_cleared(agent):
    say(agent)
    agent.put(STATE, {"state": "running", "turn_id": "t"})
    assert agent.put(STATE, {"state": "running"})["turn_id"] is None


def test_a_state_does_not_move_the_activity(agent, time_machine):
    time_machine.move_to("2026-03-01 09:00Z", tick=False)
    say(agent)
    time_machine.move_to("2026-03-01 10:00Z", tick=False)
    agent.put(STATE, {"state": "running"})
    assert agent.get(at("k"))["last_activity"] == NINE


def test_an_unknown_session_is_not_made_and_that_is_no_error(agent):
    nothing = {"state": None, "turn_id": None, "turn_started_at": None}
    assert agent.put(STATE, {"state": "running"}).body == nothing
    assert not Session.objects.exists()
    assert agent.get(STATE).status == 404


@pytest.mark.parametrize("key", ["k", "unknown"])
@pytest.mark.parametrize("body", [{}, {"state": "busy"}, {"state": ""}, {"state": None}])
def test_another_word_is_refused(agent, key, body):
    say(agent)
    assert agent.put(at(key, "/state"), body).fields == ["state"]
    assert session_of().state == "idle"


def test_running_ones_come_newest_start_first_with_their_turns(agent, time_machine):
    for time, key in (("09:00", "a"), ("10:00", "b"), ("11:00", "c")):
        run(agent, key, time, time_machine)
    agent.put(at("c", "/state"), {"state": "error", "turn_id": "x"})
    assert listed(agent, "running") == ["b", "a"]
    last = agent.get(f"{ROOT}/running")["sessions"][1]
    assert (last["turn_id"], last["turn_started_at"]) == ("of a", NINE)
    assert list(last) == [
        "key", "name", "created_at", "last_activity", "message_count", "turn_id", "turn_started_at"
    ]  # fmt: skip


def test_stuck_ones_are_strictly_older_and_come_oldest_first(agent, time_machine):
    for time, key in (("09:00", "a"), ("09:30", "b"), ("10:00", "c")):
        run(agent, key, time, time_machine)
    assert listed(agent, "stuck?threshold_secs=1800") == ["a"], "b is exactly as old"
    assert listed(agent, "stuck?threshold_secs=1799") == listed(agent, "stuck") == ["a", "b"]
    assert listed(agent, "stuck?threshold_secs=0") == ["a", "b"]
    assert listed(agent, f"stuck?threshold_secs={2**64 - 1}") == []


@pytest.mark.parametrize("threshold", ["-1", "x", str(2**64)])
def test_a_threshold_that_is_none_is_refused(agent, threshold):
    assert agent.get(f"{ROOT}/stuck?threshold_secs={threshold}").fields == ["threshold_secs"]
