"""GET /api/zeroclaw/sessions without a keyword; GET and DELETE of one; POST …/compact."""

import pytest

from sessions.models import Message, Session
from tests.api.calling import agent_of
from tests.api.zeroclaw.calling import ROOT, at, keys_of, messages_of, say, session_of
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db


def test_all_come_newest_activity_first_whatever_the_limit(agent, time_machine):
    for minute, key in enumerate(["a", "b", "c"]):
        time_machine.move_to(f"2026-03-01 09:0{minute}Z", tick=False)
        say(agent, key)
    time_machine.move_to("2026-03-01 09:09Z", tick=False)
    say(agent, "a")
    assert keys_of(agent) == keys_of(agent, "?limit=1") == ["a", "c", "b"]
    assert agent.get(f"{ROOT}/sessions?keys_only=true").body == {"keys": ["a", "c", "b"]}


def test_one_tells_its_metadata(agent):
    say(agent)
    one = agent.get(at("k")).body
    assert agent.get(f"{ROOT}/sessions").body == {"sessions": [one]}
    assert list(one) == ["key", "name", "created_at", "last_activity", "message_count"]


def test_an_unknown_one_is_not_found(agent):
    assert agent.get(at("k")).status == 404


def test_only_the_keyed_sessions_of_the_source_are_there(agent, owner):
    say(agent_of(owner, source="desk"), "desk")
    make_session(owner)
    make_session(owner, key="made elsewhere")
    make_session(make_user(), key="public", visibility="PUBLIC")
    assert keys_of(agent) == ["made elsewhere"]
    assert agent.get(at("public")).status == agent.get(at("desk")).status == 404


def test_to_delete_frees_the_key(agent):
    say(agent, content="old")
    agent.put(at("k", "/name"), {"name": "n"})
    agent.put(at("k", "/state"), {"state": "running"})
    old = session_of()
    assert agent.delete(at("k")).body == {"deleted": True}
    assert agent.delete(at("k")).body == {"deleted": False}
    assert (keys_of(agent), messages_of(agent)) == ([], [])
    assert agent.get(at("k", "/state")).status == agent.get(at("k", "/name")).status == 404
    assert agent.get(f"{ROOT}/running").body == {"sessions": []}
    say(agent, content="new")
    new = agent.get(at("k"))
    assert (new["name"], new["message_count"], messages_of(agent)) == (None, 1, [("user", "new")])
    assert agent.get(at("k", "/state"))["state"] == "idle"
    assert session_of().created_at > old.created_at
    assert agent.get(f"/api/v1/sessions/{old.uuid}")["status"] == "DELETED", "the native door still reads it"


def test_compact_puts_counter_and_index_right_and_shortens_nothing(agent):
    say(agent, content="lamps")
    Session.objects.update(message_count=7)
    assert agent.post(at("k", "/compact")).body == {"ok": True}
    assert agent.get(at("k"))["message_count"] == Message.objects.count() == 1
    assert keys_of(agent, "?keyword=lamps") == ["k"]
    last = session_of().last_seq
    assert agent.post(at("k", "/compact")).body == {"ok": True}
    assert session_of().last_seq == last, "what was right is not told again"


def test_compact_of_an_unknown_one_succeeds_and_makes_nothing(agent):
    assert agent.post(at("k", "/compact")).body == {"ok": True}
    assert not Session.objects.exists()
