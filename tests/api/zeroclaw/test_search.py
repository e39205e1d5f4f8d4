"""GET /api/zeroclaw/sessions?keyword=."""

from urllib.parse import quote

import pytest

from tests.api.calling import agent_of
from tests.api.zeroclaw.calling import ROOT, at, keys_of, say
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(agent):
    def find(keyword: str, more: str = "") -> list[str]:
        return keys_of(agent, f"?keyword={quote(keyword, safe='')}{more}")

    return find


@pytest.mark.parametrize(
    ("keyword", "is_found"),
    [
        ("rust", True), ("RUST", True), ("rus", False), ("rust*", True), ("rus*", False), ("naive", True),
        ("NAÏVE", True), ("c++", True), ("c", True), ("user@example.com", True), ("example@user.com", False),
        ("lamp rust", True), ("lamp candle", False), ('"rust"', True), ('rust"', True), ('"', False), ("!!!", False),
        ("AND", False), ("rust AND", True), ("-rust", True), ("", False), ("   ", False), ("assistant", False),
        ("the_name", False), ("code_chat", True), ("chat", True), ("chat_code", False), ("x\0", False),
    ],
)  # fmt: skip
def test_words_are_looked_for_in_messages_and_in_the_key(agent, found, keyword, is_found):
    say(agent, "code_chat_7", "Rust is naïve; ask user@example.com about C++", role="assistant")
    agent.put(at("code_chat_7", "/name"), {"name": "the_name"})
    assert found(keyword) == (["code_chat_7"] if is_found else [])


def test_sessions_come_once_the_oldest_match_first(agent, found):
    say(agent, "a", "nothing")
    say(agent, "b", "lamp")
    say(agent, "a", "lamp")
    say(agent, "b", "lamp")
    say(agent, "lamp", "by its key")
    assert found("lamp") == ["b", "a", "lamp"]
    assert found("lamp", "&limit=2") == ["b", "a"]
    assert found("lamp", "&limit=0") == []


def test_fifty_are_enough_unless_more_are_asked_for(agent, found):
    for number in range(55):
        say(agent, f"s{number}", "lamp")
    assert found("lamp") == [f"s{number}" for number in range(50)]
    assert len(found("lamp", "&limit=1000")) == 55


def test_a_session_without_messages_is_not_found_even_by_its_key(agent, found):
    say(agent, "lamp", "x")
    agent.delete(at("lamp", "/messages/last"))
    assert found("lamp") == []


def test_what_is_gone_is_not_found(agent, found):
    for key in ("a", "b"):
        say(agent, key, "lamp")
    assert found("lamp") == ["a", "b"]
    agent.delete(at("a"))
    agent.delete(at("b", "/messages/last"))
    assert found("lamp") == []


def test_others_are_not_found(agent, found, owner):
    say(agent_of(owner, source="desk"), "desk", "lamp")
    say(agent_of(make_user(), source="laptop"), "other", "lamp")
    assert found("lamp") == []


def test_of_ten_thousand_words_the_last_counts_as_the_first(agent, found):
    say(agent, "a", "oil")
    say(agent, "b", "lamp")
    say(agent, "w77", "by its key")
    many = " ".join(f"w{number}" for number in range(10_000))
    assert found(f"lamp {many} oil") == ["a", "b", "w77"]
    assert found("lamp " * 10_000) == ["b"]


@pytest.mark.parametrize("limit", ["-1", "x", str(2**64)])
def test_a_limit_that_is_none_is_refused(agent, limit):
    assert agent.get(f"{ROOT}/sessions?keyword=a&limit={limit}").fields == ["limit"]


def test_keys_alone_may_be_asked_for(agent):
    say(agent, "a", "lamp")
    assert agent.get(f"{ROOT}/sessions?keyword=lamp&keys_only=true").body == {"keys": ["a"]}
