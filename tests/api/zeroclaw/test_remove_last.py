"""DELETE /api/zeroclaw/sessions/{key}/messages/last."""

import pytest

from sessions.models import Session
from tests.api.zeroclaw.calling import at, keys_of, messages_of, say, session_of

pytestmark = pytest.mark.django_db
LAST = at("k", "/messages/last")


def test_the_newest_goes_and_the_activity_stays(agent, time_machine):
    time_machine.move_to("2026-03-01 09:00Z", tick=False)
    say(agent, content="one")
    say(agent, content="two")
    before = agent.get(at("k")).body
    time_machine.move_to("2026-03-01 10:00Z", tick=False)
    assert agent.delete(LAST).body == {"removed": True}
    assert messages_of(agent) == [("user", "one")]
    assert agent.get(at("k")).body == {**before, "message_count": 1}


def test_the_session_survives_without_messages_and_the_count_never_falls_below_zero(agent):
    say(agent)
    assert agent.delete(LAST).body == {"removed": True}
    assert agent.delete(LAST).body == {"removed": False}
    assert keys_of(agent) == ["k"]
    assert agent.get(at("k"))["message_count"] == 0
    assert say(agent) == 1


def test_an_unknown_session_is_no_error_and_is_not_made(agent):
    assert agent.delete(LAST).body == {"removed": False}
    assert not Session.objects.exists()


def test_a_title_that_a_prompt_made_goes_with_it(agent):
    say(agent, content="secret plan")
    assert session_of().title == "secret plan"
    agent.delete(LAST)
    assert (session_of().title, session_of().is_title_derived) == (None, False)
    say(agent, content="harmless")
    say(agent, content="more")
    agent.delete(LAST)
    assert session_of().title == "harmless"
    agent.put(at("k", "/name"), {"name": "given"})
    agent.delete(LAST)
    assert session_of().title == "given"


def test_the_log_says_who_took_what_back(agent):
    say(agent)
    newest = session_of().messages.get().pk
    agent.delete(LAST)
    told = session_of().events.get(type="server.message_removed").payload
    assert told == {"message_id": newest, "tool_call_ids": [], "by": f"key:{agent.key.record.pk}"}


def test_nothing_to_remove_records_nothing(agent):
    say(agent)
    agent.delete(LAST)
    before = Session.objects.values().get()
    agent.delete(LAST)
    assert Session.objects.values().get() == before
