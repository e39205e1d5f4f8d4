"""GET and PUT /api/zeroclaw/sessions/{key}/name."""

import pytest

from sessions.models import Session
from tests.api.zeroclaw.calling import at, say

pytestmark = pytest.mark.django_db
NAME = at("k", "/name")


@pytest.mark.parametrize("name", ["briefing", "  two  ", "имя", "hello", "\n", "n" * 2000])
def test_a_name_is_kept_as_written_and_an_empty_one_clears_it(agent, name):
    say(agent, content="hello")
    assert agent.get(NAME).body == {"name": None}, "what the first prompt says is no name"
    assert agent.put(NAME, {"name": name}).body == agent.get(NAME).body == {"name": name}
    assert agent.get(at("k"))["name"] == name
    assert agent.put(NAME, {"name": ""}).body == agent.get(NAME).body == {"name": None}


def test_a_name_moves_nothing_and_need_not_be_unique(agent):
    for key in ("k", "other"):
        say(agent, key)
    before = agent.get(at("k")).body
    for key in ("k", "other"):
        agent.put(at(key, "/name"), {"name": "same"})
    assert agent.get(at("k")).body == {**before, "name": "same"}


def test_an_unknown_session_is_not_made_and_that_is_no_error(agent):
    assert agent.put(NAME, {"name": "n"}).body == {"name": None}
    assert not Session.objects.exists()
    assert agent.get(NAME).status == 404


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": 7}, {"name": "a\0b"}, {"name": "n" * 2001}])
def test_what_cannot_be_a_name_is_refused(agent, body):
    say(agent)
    assert agent.put(NAME, body).fields == ["name"]


def test_a_cleared_name_gives_way_to_the_next_prompt_for_people_alone(agent):
    say(agent)
    agent.put(NAME, {"name": "n"})
    agent.put(NAME, {"name": ""})
    say(agent, content="Next")
    assert Session.objects.get().title == "Next"
    assert agent.get(NAME).body == {"name": None}
