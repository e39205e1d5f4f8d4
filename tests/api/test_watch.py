"""Findings, incidents, the release of what died, and a session's own threshold, as programs see them."""

from datetime import timedelta

import pytest

from sessions import liveness
from sessions.models import Session
from tests.api.calling import agent_of
from tests.factories import make_events, make_session, make_user

pytestmark = pytest.mark.django_db
TURN = {"type": "turn_start", "turn_id": "t"}
CALL = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "make"}}


@pytest.fixture
def owner():
    return make_user("ada")


@pytest.fixture
def agent(owner):
    return agent_of(owner)


def test_findings_say_what_and_where(agent, owner):
    session = make_session(owner)
    make_events(session, TURN, CALL, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    answer = agent.get(f"sessions/{session.uuid}/findings")
    assert answer.body == {
        "items": [
            {
                "kind": "call_without_result", "sentence": "Bash make has no result: the turn ended first.",
                "seq": 3, "message_id": None, "turn_id": "t",
            }
        ]
    }  # fmt: skip


def test_a_loop_is_a_word_of_the_session(agent, owner):
    session = make_session(owner)
    make_events(session, TURN, *(CALL | {"id": f"c{n}"} for n in range(6)))
    assert agent.get(f"sessions/{session.uuid}")["loop"] == "same call \N{MULTIPLICATION SIGN}6"
    assert agent.get(f"sessions/{make_session(owner).uuid}")["loop"] is None


def test_a_vanished_source_is_one_incident(agent, owner, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    sessions = [make_session(owner) for _ in range(3)]
    for session in sessions:
        make_events(session, TURN)
    assert agent.get("incidents").body == {"items": []}
    time_machine.shift(timedelta(seconds=300))
    liveness.watch()
    (incident,) = agent.get("incidents")["items"]
    assert incident == {
        "source": "laptop", "since": "2026-03-01T12:00:00.000000+00:00", "count": 3, "running": 3,
        "sessions": [str(session.uuid) for session in sessions],
    }  # fmt: skip
    assert agent_of(make_user()).get("incidents").body == {"items": []}


def test_the_reason_is_true_at_the_moment_of_the_answer(agent, owner, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(owner)
    make_events(session, TURN)
    time_machine.shift(300)
    liveness.watch()
    time_machine.shift(300)
    assert agent.get(f"sessions/{session.uuid}")["liveness_reason"] == "no progress for 10 m 00 s"


def test_what_died_is_released_once(agent, owner):
    session = make_session(owner)
    make_events(session, TURN)
    answer = agent.post(f"sessions/{session.uuid}/release")
    assert (answer.status, answer["state"], answer["turn_id"]) == (200, "idle", None)
    assert session.turns.get().reason == "abandoned"
    assert session.events.get(type="server.turn_abandoned").payload["by"] == f"key:{agent.key.record.pk}"
    assert agent.post(f"sessions/{session.uuid}/release").status == 409


def test_a_threshold_of_its_own_is_set_told_and_cleared(agent, owner):
    session = make_session(owner)
    answer = agent.patch(f"sessions/{session.uuid}", {"stuck_after_secs": 900, "title": "Long"})
    assert (answer["stuck_after_secs"], answer["title"]) == (900, "Long")
    assert agent.patch(f"sessions/{session.uuid}", {"title": "Longer"})["stuck_after_secs"] == 900
    assert agent.patch(f"sessions/{session.uuid}", {"stuck_after_secs": None})["stuck_after_secs"] is None


@pytest.mark.parametrize("wrong", [0, -1, 604_801, "soon", 1.5])
def test_a_threshold_that_is_none_is_refused(agent, owner, wrong):
    session = make_session(owner)
    answer = agent.patch(f"sessions/{session.uuid}", {"stuck_after_secs": wrong, "title": "New"})
    assert (answer.status, answer.fields) == (422, ["stuck_after_secs"])
    assert Session.objects.get(pk=session.pk).title is None
