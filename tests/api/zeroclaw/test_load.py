"""GET /api/zeroclaw/sessions/{key}/messages."""

import pytest

from tests.api.zeroclaw.calling import at, messages_of, say, session_of
from tests.factories import make_message

pytestmark = pytest.mark.django_db


def test_messages_come_by_insertion_with_role_and_content_alone(agent):
    say(agent, content="one")
    say(agent, content="two", role="assistant")
    assert agent.get(at("k", "/messages")).body == {
        "messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    }


def test_an_unknown_session_has_none(agent):
    assert agent.get(at("nowhere", "/messages")).body == {"messages": []}


def test_all_come_at_once(agent):
    for number in range(60):
        say(agent, content=str(number))
    assert messages_of(agent) == [("user", str(number)) for number in range(60)]


def test_reading_does_not_move_the_activity(agent):
    say(agent)
    before = agent.get(at("k")).body
    messages_of(agent)
    assert agent.get(at("k")).body == before


def test_a_message_of_another_door_without_content_is_an_empty_text(agent):
    say(agent)
    make_message(session_of(), role="assistant", content=None)
    assert messages_of(agent)[-1] == ("assistant", "")
