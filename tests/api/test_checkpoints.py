"""Checkpoints, forks and statistics at the native door."""

import json
import uuid

import pytest

from sessions.models import Session
from tests.api.calling import agent_of
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.factories import make_message, make_session, make_user

HISTORY = [user("make it fast"), says("looking", call("c1"), **usage(10, 5)), result("c1"), says("done")]


@pytest.fixture
def session(owner):
    return make_session(owner, title="Faster")


def keep(agent, session, messages, **more):
    state = {"messages": messages, **more.pop("rest", {})}
    answer = agent.post(f"sessions/{session.uuid}/checkpoints", {"state": state, **more})
    assert answer.status == 201, answer.body
    return answer


def test_a_checkpoint_comes_back_exactly_as_it_was_sent(agent, session):
    message = '{"role":"user","content":"a","x":{"n":-0,"big":123456789012345678901234567890}}'
    text = f'{{"z":1.50,"messages":[{message}],"a":1e2}}'
    made = agent.post(f"sessions/{session.uuid}/checkpoints", raw=f'{{"state": {text}}}')
    raw = agent.client.get(f"/api/v1/checkpoints/{made['id']}", headers=agent.headers).content.decode()

    assert made.status == 201
    assert f'"state":{text}' in raw
    assert (made["seq"], made["message_count"], made["session_id"]) == (1, 1, str(session.uuid))


def test_the_transcript_says_what_the_checkpoints_say(agent, session):
    keep(agent, session, HISTORY[:2])
    keep(agent, session, HISTORY)

    items = agent.get(f"sessions/{session.uuid}/messages")["items"]
    assert [item["content"] for item in items] == ["make it fast", "looking", "done", "done"]
    assert agent.get(f"sessions/{session.uuid}")["total_tokens"] == 15


def test_checkpoints_are_listed_by_number_in_pages(agent, session):
    made = [keep(agent, session, HISTORY[:count])["id"] for count in (1, 2, 4)]
    path = f"sessions/{session.uuid}/checkpoints"

    first = agent.get(f"{path}?limit=2")
    rest = agent.get(f"{path}?limit=2&cursor={first['next_cursor']}")
    assert [item["id"] for item in [*first["items"], *rest["items"]]] == made
    assert [item["message_count"] for item in first["items"]] == [1, 2]
    assert rest["next_cursor"] is None
    assert "state" not in first["items"][0]
    assert [item["id"] for item in agent.get(f"{path}?before=3&limit=1")["items"]] == made[1:2]
    with_states = agent.get(f"{path}?include_state=true")["items"]
    assert [len(item["state"]["messages"]) for item in with_states] == [1, 2, 4]
    assert agent.get(f"{path}?limit=0").body == {"items": [], "next_cursor": None}
    assert agent.get(f"{path}?limit=-1").status == 422


def test_the_active_one_is_the_newest(agent, session):
    path = f"sessions/{session.uuid}/checkpoints/active"
    assert agent.get(path).status == 404
    keep(agent, session, HISTORY[:1])
    newest = keep(agent, session, HISTORY)

    assert agent.get(path).body == newest.body
    assert agent.get(f"sessions/{session.uuid}")["active_checkpoint_id"] == newest["id"]


def test_a_parent_is_kept_as_given_and_must_be_of_this_session(agent, owner, session):
    first = keep(agent, session, HISTORY[:1])
    keep(agent, session, HISTORY[:2])
    third = keep(agent, session, HISTORY, parent_id=first["id"])
    assert third["parent_id"] == first["id"]

    other = make_session(owner)
    refused = agent.post(f"sessions/{other.uuid}/checkpoints", {"state": {}, "parent_id": first["id"]})
    assert (refused.status, refused.fields) == (422, ["parent_id"])
    assert first["id"] not in json.dumps(refused.body)


@pytest.mark.parametrize("state", [[], "x", None, {"messages": {}}, {"messages": [1]}])
def test_a_state_that_is_none_is_refused(agent, session, state):
    refused = agent.post(f"sessions/{session.uuid}/checkpoints", {"state": state})

    assert refused.status == 422
    assert session.checkpoints.count() == 0


def test_a_repeat_with_an_idempotency_key_keeps_one(agent, session):
    body = {"state": {"messages": HISTORY}}
    answers = [agent.post(f"sessions/{session.uuid}/checkpoints", body, Idempotency_Key="k") for _ in range(2)]

    assert answers[0].body == answers[1].body
    assert session.checkpoints.count() == 1


def test_what_changed_is_told_message_by_message(agent, session):
    first = keep(agent, session, HISTORY, rest={"metadata": {"n": 1}, "gone": None})
    second = keep(agent, session, [*HISTORY[:3], says("done, twice"), user("more")], rest={"metadata": {"n": 2}})
    found = agent.get(f"checkpoints/{second['id']}/diff?against={first['id']}")

    assert [found[f"{kind}_count"] for kind in ("same", "added", "removed", "changed")] == [3, 1, 0, 1]
    changed, added = found["messages"]
    assert (changed["kind"], changed["before"], changed["after"]) == ("changed", says("done"), says("done, twice"))
    assert (added["kind"], added["before"], added["after"], added["after_at"]) == ("added", None, user("more"), 5)
    assert found["fields"] == [
        {"name": "metadata", "before": {"n": 1}, "after": {"n": 2}},
        {"name": "gone", "before": None},
    ]


def test_without_against_it_is_compared_with_what_it_goes_on_from(agent, session):
    first = keep(agent, session, HISTORY[:1])
    second = keep(agent, session, HISTORY[:2])

    assert agent.get(f"checkpoints/{second['id']}/diff")["against_id"] == first["id"]
    alone = agent.get(f"checkpoints/{first['id']}/diff")
    assert (alone["against_id"], alone["added_count"]) == (None, 1)


def test_what_one_may_not_see_is_not_compared_with(agent, owner, session):
    hidden = make_session(make_user(), visibility="PRIVATE")
    theirs = keep(agent_of(hidden.owner), hidden, HISTORY)
    mine = keep(agent, session, HISTORY)

    assert agent.get(f"checkpoints/{theirs['id']}").status == 404
    assert agent.get(f"checkpoints/{mine['id']}/diff?against={theirs['id']}").status == 404
    assert agent.get(f"checkpoints/{theirs['id']}/diff?against={mine['id']}").status == 404
    assert agent.get(f"checkpoints/{mine['id']}/diff?against={uuid.uuid4()}").status == 404
    assert agent.get(f"checkpoints/{mine['id']}/diff?against=x").status == 422
    assert agent.get("checkpoints/x").status == 404


def test_a_fork_from_a_message_is_a_child_with_the_history_so_far(agent, session):
    ids = [make_message(session, content=text) for text in ("one", "two", "three")]
    made = agent.post(f"sessions/{session.uuid}/fork", {"message_id": ids[1], "title": "Other"})

    assert (made.status, made["parent_id"], made["title"], made["message_count"]) == (
        201,
        str(session.uuid),
        "Other",
        2,
    )
    assert [row["content"] for row in agent.get(f"sessions/{made['id']}/messages")["items"]] == ["one", "two"]


def test_a_public_fork_tells_a_stranger_nothing_of_the_private_session_that_it_comes_from(agent, session):
    """Not even its id: in the log no more than beside it."""
    points = {"message_id": make_message(session), "checkpoint_id": keep(agent, session, HISTORY)["id"]}
    for name, point in points.items():
        made = agent.post(f"sessions/{session.uuid}/fork", {name: point, "title": "Shown"})
        agent.patch(f"sessions/{made['id']}", {"visibility": "PUBLIC"})
        assert made["parent_id"] == str(session.uuid)
        for path in ("", "/events", "/checkpoints", "/messages", "/export"):
            told = agent_of(make_user()).get(f"sessions/{made['id']}{path}")
            assert told.status == 200
            assert str(session.uuid) not in json.dumps(told.body), (name, path)


def test_a_fork_from_a_checkpoint_begins_with_its_state(agent, session):
    first = keep(agent, session, HISTORY[:2])
    keep(agent, session, HISTORY)
    made = agent.post(f"sessions/{session.uuid}/fork", {"checkpoint_id": first["id"]})

    assert made.status == 201
    assert agent.get(f"sessions/{made['id']}/checkpoints/active")["state"] == {"messages": HISTORY[:2]}


def test_a_fork_from_nowhere_takes_the_newest_checkpoint_or_all_messages(agent, owner, session):
    plain = make_session(owner)
    make_message(plain, content="one")
    keep(agent, session, HISTORY)
    of_state = agent.post(f"sessions/{session.uuid}/fork", {})
    of_words = agent.post(f"sessions/{plain.uuid}/fork", {})

    assert agent.get(f"sessions/{of_state['id']}/checkpoints/active")["message_count"] == 4
    assert (of_words["message_count"], of_words["active_checkpoint_id"]) == (1, None)


def test_a_fork_from_what_is_not_of_the_session_makes_nothing(agent, owner, session):
    other = make_session(owner)
    theirs, elsewhere = make_message(other), keep(agent, other, HISTORY)["id"]
    mine = make_message(session)
    bodies = {
        "message_id": {"message_id": theirs},
        "checkpoint_id": {"checkpoint_id": elsewhere},
        "body": {"message_id": mine, "checkpoint_id": elsewhere},
    }
    refused = {name: agent.post(f"sessions/{session.uuid}/fork", body) for name, body in bodies.items()}

    assert {name: (answer.status, answer.fields) for name, answer in refused.items()} == {
        name: (422, [name]) for name in bodies
    }
    assert Session.objects.count() == 2


def test_a_repeated_fork_with_an_idempotency_key_is_one(agent, session):
    make_message(session)
    ids = {agent.post(f"sessions/{session.uuid}/fork", {}, Idempotency_Key="k")["id"] for _ in range(2)}

    assert len(ids) == 1
    assert Session.objects.count() == 2


def test_a_deleted_session_forks_too(agent, session):
    make_message(session, content="one")
    agent.delete(f"sessions/{session.uuid}")

    assert agent.post(f"sessions/{session.uuid}/fork", {})["status"] == "ACTIVE"


def test_the_statistics_of_a_session_have_the_names_of_the_trait(agent, session, settings):
    settings.KODA_TIME_SAVED_PER_CALL = {"run_command": 30.0}
    keep(agent, session, HISTORY)

    assert agent.get(f"sessions/{session.uuid}/stats").body == {
        "total_sessions": 1, "total_tool_calls": 1, "successful_tool_calls": 1, "failed_tool_calls": 0,
        "aborted_tool_calls": 0, "sessions_with_activity": 1, "total_time_saved_seconds": 30,
        "tools_usage": [{
            "tool_name": "stakpak__run_command", "display_name": "Run Command", "time_saved_per_call": 30.0,
            "usage_counts": {"total": 1, "successful": 1, "failed": 0, "aborted": 0}, "time_saved_seconds": 30,
        }],
    }  # fmt: skip
