"""PUT /api/zeroclaw/sessions/{key}/messages/last."""

import pytest

from sessions.models import Session
from tests.api.zeroclaw.calling import at, messages_of, say, session_of

pytestmark = pytest.mark.django_db
LAST = at("k", "/messages/last")
NEW = {"role": "assistant", "content": "whole"}


def test_the_newest_says_something_else_in_its_place(agent, time_machine):
    time_machine.move_to("2026-03-01 09:00Z", tick=False)
    say(agent, content="one")
    say(agent, content="ha", role="assistant")
    before = session_of().messages.order_by("id").values("id", "created_at", "client_id")
    before = list(before)
    time_machine.move_to("2026-03-01 10:00Z", tick=False)
    assert agent.put(LAST, NEW).body == {"updated": True}
    assert messages_of(agent) == [("user", "one"), ("assistant", "whole")]
    assert list(session_of().messages.order_by("id").values("id", "created_at", "client_id")) == before
    told = agent.get(at("k"))
    assert (told["message_count"], told["last_activity"]) == (2, "2026-03-01T10:00:00.000000+00:00")
    assert told["created_at"] == "2026-03-01T09:00:00.000000+00:00"


def test_without_a_message_there_is_nothing_to_replace(agent):
    assert agent.put(LAST, NEW).body == {"updated": False}
    assert not Session.objects.exists()
    say(agent)
    agent.delete(LAST)
    before = Session.objects.values().get()
    assert agent.put(LAST, NEW).body == {"updated": False}
    assert Session.objects.values().get() == before


@pytest.mark.parametrize("body", [{}, {"role": "", "content": "x"}, {"role": "user", "content": 7}])
def test_what_cannot_be_a_message_replaces_nothing(agent, body):
    say(agent)
    assert agent.put(LAST, body).status == 422
    assert messages_of(agent) == [("user", "hello")]


def test_a_title_that_a_prompt_made_follows_it(agent):
    say(agent, content="secret plan")
    agent.put(LAST, {"role": "user", "content": "harmless"})
    assert session_of().title == "harmless"
    agent.put(LAST, NEW)
    assert session_of().title is None


def test_what_stood_there_is_not_found_any_more(agent):
    say(agent, content="secret word")
    agent.put(LAST, {"role": "user", "content": "harmless"})
    assert agent.get("/api/zeroclaw/sessions?keyword=secret")["sessions"] == []
    assert len(agent.get("/api/zeroclaw/sessions?keyword=harmless")["sessions"]) == 1
