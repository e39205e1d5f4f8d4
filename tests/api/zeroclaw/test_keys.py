"""Any text is a key, on every route; it arrives as a server hands paths on."""

import pytest

from sessions.models import Session
from tests.api.zeroclaw.calling import ROOT, at, keys_of, messages_of, on_the_wire, say

pytestmark = pytest.mark.django_db
KEYS = (
    "telegram_user123", "a/b", "/", "//", "/a/", "a/messages", "messages", "messages/last", "name", "state",
    "..", ".", "../..", "a/../b", "%", "%2F", "%252F", "a%00b", "100 %", " ", "  two  ", "a+b", "a?b=c&d#e", "a;b",
    "a:b@c", "\\", '"', "'", "<b>", "\n", "\t", "ключ", "日本語", "e\u0301", "é", "K" * 500, "😀👩‍👩‍👧" * 100,
    "😀" * 1024,
)  # fmt: skip


@pytest.fixture
def agent(agent):
    return on_the_wire(agent)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:20])
def test_every_route_takes_the_key_for_what_it_is(agent, key):
    say(agent, "neighbour")
    assert (say(agent, key, "one"), say(agent, key, "two")) == (1, 2)
    assert agent.put(at(key, "/messages/last"), {"role": "user", "content": "three"}).body == {"updated": True}
    assert messages_of(agent, key) == [("user", "one"), ("user", "three")]
    assert agent.put(at(key, "/name"), {"name": "n"}).body == agent.get(at(key, "/name")).body == {"name": "n"}
    assert agent.put(at(key, "/state"), {"state": "running"})["state"] == agent.get(at(key, "/state"))["state"]
    assert agent.post(at(key, "/compact")).body == {"ok": True}
    assert [agent.get(at(key))["key"], keys_of(agent)] == [key, [key, "neighbour"]]
    assert agent.get(f"{ROOT}/running")["sessions"][0]["key"] == key
    assert agent.delete(at(key, "/messages/last")).body == {"removed": True}
    assert agent.delete(at(key, "/messages")).body == {"cleared": 1}
    assert agent.delete(at(key)).body == {"deleted": True}
    assert keys_of(agent) == ["neighbour"]
    assert messages_of(agent, "neighbour") == [("user", "hello")]


def test_all_of_them_are_different_sessions(agent):
    for key in KEYS:
        say(agent, key, key)
    assert sorted(keys_of(agent)) == sorted(KEYS)
    for key in KEYS:
        assert messages_of(agent, key) == [("user", key.replace("\0", "\ufffd"))]


@pytest.mark.parametrize("path", ["a/b", "a/b/", "/a", "a/messages/messages"])
def test_a_slash_that_is_not_encoded_is_one_too(agent, path):
    key = path.removesuffix("/messages")
    say(agent, key)
    assert len(agent.get(f"{ROOT}/sessions/{key}/messages")["messages"]) == 1


CALLS = (
    ("GET", "", None), ("DELETE", "", None), ("GET", "/messages", None), ("DELETE", "/messages", None),
    ("POST", "/messages", {"role": "user", "content": "x"}), ("DELETE", "/messages/last", None),
    ("PUT", "/messages/last", {"role": "user", "content": "x"}), ("POST", "/compact", None), ("GET", "/name", None),
    ("PUT", "/name", {"name": "n"}), ("GET", "/state", None), ("PUT", "/state", {"state": "idle"}),
)  # fmt: skip


@pytest.mark.parametrize("part", ["k" * 1025, "%00", "%ED%A0%80", "%FF", "a%C3"], ids=lambda part: part[:8])
def test_what_cannot_be_a_key_is_refused(agent, part):
    for method, rest, body in CALLS:
        answer = agent.call(method, f"{ROOT}/sessions/{part}{rest}", body)
        assert (answer.status, answer.fields) == (422, ["key"]), (method, rest)
    assert not Session.objects.exists()


def test_an_empty_key_is_refused(agent):
    for method, rest, body in (("POST", "/messages", {"role": "user", "content": "x"}), ("GET", "/messages", None)):
        answer = agent.call(method, f"{ROOT}/sessions/{rest}", body)
        assert (answer.status, answer.fields) == (422, ["key"])
