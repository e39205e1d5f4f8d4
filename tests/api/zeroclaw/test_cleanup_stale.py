"""POST /api/zeroclaw/cleanup."""

import pytest

from sessions.models import Message, Session
from tests.api.calling import agent_of
from tests.api.zeroclaw.calling import ROOT, at, keys_of, say

pytestmark = pytest.mark.django_db
CLEANUP = f"{ROOT}/cleanup"


@pytest.fixture
def agent(agent, time_machine):
    """Four sessions, an hour apart; the oldest runs. Now it is 14:00."""
    for hour, key in enumerate(["oldest", "old", "young", "new"], 10):
        time_machine.move_to(f"2026-03-01 {hour}:00Z", tick=False)
        say(agent, key)
    agent.put(at("oldest", "/state"), {"state": "running"})
    time_machine.move_to("2026-03-01 14:00Z", tick=False)
    return agent


def test_strictly_older_ones_go_for_good_whatever_their_state(agent):
    assert agent.post(CLEANUP, {"ttl_hours": 3}).body == {"removed": 1, "keys": ["oldest"]}
    assert agent.post(CLEANUP, {"ttl_hours": 3}).body == {"removed": 0, "keys": []}
    assert keys_of(agent) == ["new", "young", "old"]
    assert not Session.objects.filter(key="oldest").exists()
    assert Message.objects.count() == 3


def test_a_dry_run_says_what_would_go_and_removes_nothing(agent):
    told = agent.post(CLEANUP, {"ttl_hours": 2, "dry_run": True}).body
    assert told == {"removed": 2, "keys": ["oldest", "old"]}
    assert Session.objects.count() == 4
    assert agent.post(CLEANUP, {"ttl_hours": 2}).body == told


def test_those_that_run_may_be_spared(agent):
    assert agent.post(CLEANUP, {"ttl_hours": 2, "include_running": False}).body == {"removed": 1, "keys": ["old"]}


def test_nought_is_off_and_more_than_the_calendar_has_finds_nothing(agent):
    for hours in (0, 10**6, 2**32 - 1, 2**64 - 1):
        assert agent.post(CLEANUP, {"ttl_hours": hours}).body == {"removed": 0, "keys": []}
    assert Session.objects.count() == 4


def test_nought_removes_all_that_was_active_before_now_when_it_is_forced(agent):
    say(agent, "this very moment")
    everything = ["oldest", "old", "young", "new"]
    dry = agent.post(CLEANUP, {"ttl_hours": 0, "force": True, "dry_run": True}).body
    assert dry == {"removed": 4, "keys": everything}
    assert agent.post(CLEANUP, {"ttl_hours": 0, "force": True, "include_running": False}).body == {
        "removed": 3, "keys": everything[1:]
    }  # fmt: skip
    assert agent.post(CLEANUP, {"ttl_hours": 0, "force": True}).body == {"removed": 1, "keys": ["oldest"]}
    assert keys_of(agent) == ["this very moment"]


def test_only_the_keys_of_the_source_go(agent, owner):
    assert agent_of(owner, source="desk").post(CLEANUP, {"ttl_hours": 1}).body == {"removed": 0, "keys": []}
    assert Session.objects.count() == 4


@pytest.mark.parametrize("hours", [-1, None, "soon", 1.5, 2**64])
def test_hours_that_are_none_are_refused(agent, hours):
    assert agent.post(CLEANUP, {"ttl_hours": hours}).fields == ["ttl_hours"]
    assert Session.objects.count() == 4
