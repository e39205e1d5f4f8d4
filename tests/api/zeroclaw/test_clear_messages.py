"""DELETE /api/zeroclaw/sessions/{key}/messages."""

import pytest

from sessions.models import SearchEntry, Session
from tests.api.zeroclaw.calling import ROOT, at, messages_of, say, session_of

pytestmark = pytest.mark.django_db
ALL = at("k", "/messages")


def test_all_messages_go_and_name_state_and_birth_stay(agent, time_machine):
    time_machine.move_to("2026-03-01 09:00Z", tick=False)
    say(agent, content="lamps")
    say(agent)
    agent.put(at("k", "/name"), {"name": "n"})
    agent.put(at("k", "/state"), {"state": "error", "turn_id": "t"})
    before, state = agent.get(at("k")).body, agent.get(at("k", "/state")).body
    time_machine.move_to("2026-03-01 10:00Z", tick=False)
    assert agent.delete(ALL).body == {"cleared": 2}
    assert messages_of(agent) == []
    after = {**before, "message_count": 0, "last_activity": "2026-03-01T10:00:00.000000+00:00"}
    assert agent.get(at("k")).body == after
    assert agent.get(at("k", "/state")).body == state


def test_nothing_to_clear_touches_nothing(agent):
    assert agent.delete(ALL).body == {"cleared": 0}
    assert not Session.objects.exists()
    say(agent)
    agent.delete(ALL)
    before = Session.objects.values().get()
    assert agent.delete(ALL).body == {"cleared": 0}
    assert Session.objects.values().get() == before


def test_nothing_of_it_is_found_and_the_log_counts_it(agent):
    say(agent, content="lamps")
    assert len(agent.get(f"{ROOT}/sessions?keyword=lamps")["sessions"]) == 1
    agent.delete(ALL)
    assert session_of().title is None
    assert agent.get("search?q=lamps")["items"] == []
    assert agent.get(f"{ROOT}/sessions?keyword=lamps")["sessions"] == []
    assert not SearchEntry.objects.filter(message__isnull=False).exists()
    assert session_of().events.get(type="server.messages_cleared").payload["count"] == 1
