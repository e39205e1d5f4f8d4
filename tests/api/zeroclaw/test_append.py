"""POST /api/zeroclaw/sessions/{key}/messages."""

import pytest

from sessions.models import Message, Session
from tests.api.calling import agent_of
from tests.api.zeroclaw.calling import at, keys_of, messages_of, say, session_of
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_the_first_message_makes_the_session(agent, owner):
    assert say(agent, "telegram_user123", "Good morning") == 1
    session = session_of("telegram_user123")
    assert (session.owner, session.source, session.agent_name) == (owner, "laptop", "zeroclaw")
    assert (session.state, session.turn_id, session.given_name) == ("idle", None, None)
    assert session.title == "Good morning", "people see the prompt, the client no name"
    assert agent.get(at("telegram_user123"))["name"] is None


def test_later_ones_count_and_move_the_activity_alone(agent, time_machine):
    time_machine.move_to("2026-03-01 09:00Z", tick=False)
    say(agent)
    time_machine.move_to("2026-03-01 10:00Z", tick=False)
    assert say(agent, content="more") == 2
    told = agent.get(at("k")).body
    assert told["created_at"] == "2026-03-01T09:00:00.000000+00:00"
    assert told["last_activity"] == "2026-03-01T10:00:00.000000+00:00"


@pytest.mark.parametrize(("role", "content"), [("critic", ""), ("роль " * 200, "\n"), ("user", "a\0b"), ("user", "😀")])
def test_any_role_and_any_content_is_kept(agent, role, content):
    say(agent, content=content, role=role)
    assert messages_of(agent) == [(role, content.replace("\0", "\ufffd"))]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content": "x"}, "role"),
        ({"role": "", "content": "x"}, "role"),
        ({"role": "r" * 2001, "content": "x"}, "role"),
        ({"role": "a\0", "content": "x"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "user", "content": None}, "content"),
        ({"role": "user", "content": "x", "client_id": ""}, "client_id"),
    ],
)
def test_what_cannot_be_a_message_makes_nothing(agent, body, field):
    answer = agent.post(at("k", "/messages"), body)
    assert (answer.status, answer.fields) == (422, [field])
    assert not Session.objects.exists()


def test_a_content_over_the_limit_makes_nothing(agent, settings):
    settings.KODA_MAX_CONTENT = 100
    assert agent.post(at("k", "/messages"), {"role": "user", "content": "x" * 101}).status == 413
    assert not Session.objects.exists()


def test_a_repeat_of_a_client_id_is_stored_once(agent):
    assert say(agent, client_id="a") == 1
    assert say(agent, client_id="a") == 1
    assert say(agent, client_id="b") == 2


def test_equal_messages_are_two(agent):
    say(agent)
    assert say(agent) == 2


def test_an_idempotency_key_replays(agent):
    for _ in range(2):
        answer = agent.post(at("k", "/messages"), {"role": "user", "content": "x"}, Idempotency_Key="once")
        assert answer.body == {"message_count": 1}
    assert Message.objects.count() == 1


def test_two_sources_and_two_users_may_use_one_key(agent, owner):
    others = [agent_of(owner, source="desk"), agent_of(make_user(), source="laptop")]
    for number, one in enumerate([agent, *others]):
        say(one, content=str(number))
    for number, one in enumerate([agent, *others]):
        assert messages_of(one) == [("user", str(number))]
        assert keys_of(one) == ["k"]
