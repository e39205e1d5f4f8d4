"""list, create and get of checkpoints, and that each reads back as it was sent (contracts/stakpak.md 1.6 to 1.9)."""

import json

import pytest

from sessions.models import Checkpoint
from tests.api.calling import agent_of
from tests.api.stakpak.calling import call, result, says, usage, user

pytestmark = pytest.mark.django_db


def raw_state(storage, checkpoint_id) -> str:
    """Return the state of a checkpoint as the wire has it, letter by letter."""
    storage.get_checkpoint(checkpoint_id)
    body = storage.raw.decode()
    return body[body.index('"state":') + len('"state":') : -2]


def test_the_parent_is_kept_as_given_and_none_stays_none(storage):
    made = storage.create_session("s", [user("a")])
    root = made["checkpoint"]["id"]
    second = storage.create_checkpoint(made["session_id"], [user("a"), says("b")], parent=root)
    orphan = storage.create_checkpoint(made["session_id"], [user("a"), says("b"), user("c")])
    sibling = storage.create_checkpoint(made["session_id"], [user("a")], parent=root)

    assert (second["parent_id"], orphan["parent_id"], sibling["parent_id"]) == (root, None, root)
    assert [one["parent_id"] for one in storage.list_checkpoints(made["session_id"])] == [None, root, None, root]


def test_the_newest_is_the_active_one_whatever_its_parent(storage):
    made = storage.create_session("s", [user("a")])
    storage.create_checkpoint(made["session_id"], [user("a"), says("b")])
    newest = storage.create_checkpoint(made["session_id"], [user("x")], parent=made["checkpoint"]["id"])

    assert storage.get_session(made["session_id"])["active_checkpoint"] == newest


def test_the_list_is_in_order_and_in_pages(storage):
    made = storage.create_session("s", [user("0")])
    for number in range(1, 4):
        storage.create_checkpoint(made["session_id"], [user(str(n)) for n in range(number + 1)])
    listed = storage.list_checkpoints(made["session_id"])

    assert [one["message_count"] for one in listed] == [1, 2, 3, 4]
    times = [one["created_at"] for one in listed]
    assert times == sorted(set(times))
    assert [one["message_count"] for one in storage.list_checkpoints(made["session_id"], limit=2, offset=1)] == [2, 3]
    assert storage.list_checkpoints(made["session_id"], limit=0) == []
    assert len(storage.list_checkpoints(made["session_id"], limit=1_000_000)) == 4
    assert {one["state"] is None for one in listed} == {True}
    with_state = storage.list_checkpoints(made["session_id"], include_state="true")
    assert [len(one["state"]["messages"]) for one in with_state] == [1, 2, 3, 4]


ODD = [
    '{"messages":[],"metadata":{"b":1,"a":{"z":null,"y":[]}}}',
    '{"metadata":{},"messages":[{"content":"keys first","role":"user"}]}',
    '{"metadata":null,"messages":[]}',
    "{}",
    '{"messages":[{"role":"user","content":null}]}',
    '{"messages":[{"role":"user"}]}',
    '{"messages":[{"role":"assistant","content":"","tool_calls":[]}],"unknown":{"kept":true}}',
    '{"messages":[{"content":"whose?"},{"role":7,"content":{"an":"object"}},{}]}',
    '{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"d"}}]}]}',
    '{"messages":[{"role":"assistant","content":"n","cost":0.10,"x":1E5,"y":1.0,"z":-0,"big":'
    + "1234567890" * 12
    + ',"deep":[1e-400,2.50]}]}',
    '{"messages":[{"role":"user","content":"tab\\tline\\nquote\\"slash\\\\ é 漢 \U0001f600"}]}',
]


@pytest.mark.parametrize("state", ODD)
def test_a_state_reads_back_letter_by_letter(storage, state):
    made = storage.create_session()["session_id"]
    sent = b'{"state":' + state.encode() + b"}"
    storage.send("POST", f"/sessions/{made}/checkpoints", raw=sent)
    echoed, checkpoint = storage.raw.decode(), json.loads(storage.raw)["checkpoint"]["id"]

    assert f'"state":{state}' in echoed
    storage.send("GET", f"/sessions/checkpoints/{checkpoint}")
    assert f'"state":{state}' in storage.raw.decode()
    storage.send("GET", f"/sessions/{made}")
    assert f'"state":{state}' in storage.raw.decode()


def test_what_no_database_can_hold_is_replaced_in_both(storage):
    made = storage.create_session()["session_id"]
    storage.send(
        "POST", f"/sessions/{made}/checkpoints",
        raw=b'{"state":{"messages":[{"role":"user","content":"a\\u0000b\\ud800c"}]}}',
    )  # fmt: skip
    checkpoint = json.loads(storage.raw)["checkpoint"]

    assert storage.get_checkpoint(checkpoint["id"])["state"]["messages"][0]["content"] == "a\ufffdb\ufffdc"


def test_messages_without_a_role_are_kept_and_shown_as_what_they_are(storage, owner):
    state = {"messages": [{"content": "whose?"}]}
    made = storage.send("POST", "/sessions", {"title": "t", "state": state})
    session = agent_of(owner).get("sessions")["items"][0]
    shown = agent_of(owner).get(f"sessions/{session['id']}/messages?view=all")["items"]

    assert made is None
    assert [(one["role"], one["content"]) for one in shown] == [("no role", "whose?")]


def test_the_traffic_of_an_interactive_run_reads_back_step_by_step(storage):
    """Each step ends with usage and newlines that the next one leaves out (2.5)."""
    history, sent = [user("make it fast")], []
    made = storage.create_session("s", history)
    parent = made["checkpoint"]["id"]
    for step in range(12):
        calls = [call(f"c{step}")]
        ending = says(f"step {step}\n\n", *calls, **usage(100 + step, 10))
        sent.append(
            (storage.create_checkpoint(made["session_id"], [*history, ending], parent=parent)["id"], [*history, ending])
        )
        parent = storage.get_session(made["session_id"])["active_checkpoint"]["id"]
        history += [says(f"step {step}" if step % 2 else f"step {step}\n", *calls), result(f"c{step}")]

    for checkpoint, messages in sent:
        storage.send("GET", f"/sessions/checkpoints/{checkpoint}")
        assert json.loads(storage.raw)["checkpoint"]["state"]["messages"] == messages
    assert {row.branch for row in Checkpoint.objects.all()} == {0}
