"""POST and GET /sessions/{id}/events, /turns, /state and /heartbeat."""

import pytest

from sessions import compaction
from sessions.models import Command, Event
from tests.api.calling import agent_of
from tests.factories import make_events, make_session, make_user
from tests.message_drafts import answering, append, asking, user
from tests.purging import purge_archived

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(owner):
    return make_session(owner)


@pytest.fixture
def path(session):
    return f"sessions/{session.uuid}"


def send(agent, path, *events):
    return agent.post(f"{path}/events", {"events": list(events)})


def test_a_turn_moves_the_state_and_is_written(agent, path, session):
    begun = send(agent, path, {"type": "turn_start", "turn_id": "t1"})
    state = agent.get(f"{path}/state")
    ended = send(agent, path, {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "error", "message": "no luck"}})

    assert (begun.status, begun["stored"], begun["duplicates"], begun["commands"]) == (201, 1, 0, [])
    assert (state["state"], state["turn_id"]) == ("running", "t1")
    assert state["turn_started_at"] is not None
    assert ended["last_seq"] == Event.objects.filter(session=session).count()
    assert agent.get(path)["state"] == "error"
    turn = agent.get(f"{path}/turns")["items"][0]
    assert (turn["turn_id"], turn["reason"]) == ("t1", {"kind": "error", "message": "no luck"})
    assert turn["ended_at"] > turn["started_at"]


def test_an_event_reads_back_flat_with_every_field_as_it_was_sent(agent, path):
    sent = {
        "type": "from_tomorrow", "event_id": "e1", "turn_id": "t1", "at": "2026-03-15T09:26:53.000000+00:00",
        "deep": {"b": [1, 2.5, None, {"a": "\U0001f600"}], "a": 10**25}, "cls": 1, "_fields_set": [2], "draft": "x",
    }  # fmt: skip

    send(agent, path, sent)

    row = agent.get(f"{path}/events?after=1")["items"][0]
    assert row.pop("received_at").endswith("+00:00")
    assert row == {"seq": 2, **sent}


def test_a_field_of_the_senders_that_is_called_like_one_of_the_rows_yields(agent, path):
    send(agent, path, {"type": "x", "seq": 99, "received_at": "never"})

    row = agent.get(f"{path}/events?after=1")["items"][0]
    assert row["seq"] == 2
    assert row["received_at"] != "never"


def test_a_known_event_is_passed_over(agent, path):
    first = send(agent, path, {"type": "info", "event_id": "e1"}, {"type": "info", "event_id": "e2"})
    again = send(agent, path, {"type": "info", "event_id": "e2"}, {"type": "info", "event_id": "e3"})

    assert (first["stored"], first["duplicates"]) == (2, 0)
    assert (again["stored"], again["duplicates"], again["last_seq"]) == (1, 1, first["last_seq"] + 1)


def test_a_run_of_deltas_is_one_row_with_the_joined_text(agent, path):
    answer = send(agent, path, *({"type": "text_delta", "text": letter} for letter in "abc"))

    assert answer["stored"] == 3
    rows = agent.get(f"{path}/events?after=1")["items"]
    assert [row["text"] for row in rows if row["type"] == "text_delta"] == ["abc"]


def test_the_log_is_paged_without_gap_or_repeat(agent, path):
    send(agent, path, *({"type": "info", "message": str(n)} for n in range(6)))

    seqs, cursor = [], ""
    while cursor is not None:
        page = agent.get(f"{path}/events?limit=3{cursor and f'&cursor={cursor}'}")
        seqs += [row["seq"] for row in page["items"]]
        cursor = page["next_cursor"]

    assert seqs == list(range(1, Event.objects.count() + 1))


def test_broken_characters_are_replaced_in_what_was_written(agent, path):
    send(agent, path, {"type": "info", "message": "a\x00b", "k\ud800": ["\udfff"]})

    row = agent.get(f"{path}/events?after=1")["items"][0]
    assert (row["message"], row["k\ufffd"]) == ("a\ufffdb", ["\ufffd"])


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({}, "type"),
        ({"type": ""}, "type"),
        ({"type": 7}, "type"),
        ({"type": "a\x00"}, "type"),
        ({"type": "x" * 101}, "type"),
        ({"type": "server.session_deleted"}, "type"),
        ({"type": "info", "event_id": "\ud800"}, "event_id"),
        ({"type": "info", "event_id": ""}, "event_id"),
        ({"type": "info", "turn_id": "\x00"}, "turn_id"),
        ({"type": "info", "at": "soon"}, "at"),
        ({"type": "turn_start"}, "turn_id"),
        ({"type": "turn_end", "turn_id": "t"}, "reason.kind"),
        ({"type": "turn_end", "turn_id": "t", "reason": {"kind": "bored"}}, "reason.kind"),
        ({"type": "tool_call_start", "id": "c"}, "name"),
        ({"type": "text_delta"}, "text"),
        ({"type": "approval_request"}, "id"),
    ],
)
def test_a_batch_with_one_bad_event_stores_nothing_and_names_it(agent, path, session, event, field):
    answer = send(agent, path, {"type": "turn_start", "turn_id": "t1"}, event)

    assert (answer.status, answer.fields) == (422, [f"events.1.{field}"])
    assert session.events.count() == 1
    assert not session.turns.exists()


def test_the_end_of_a_turn_that_never_began_is_refused_with_its_whole_batch(agent, path, session):
    begun = {"type": "turn_start", "turn_id": "t1"}
    answer = send(agent, path, begun, {"type": "turn_end", "turn_id": "t2", "reason": {"kind": "complete"}})

    assert (answer.status, answer["code"], answer.fields) == (422, "invalid_request", ["events.1.turn_id"])
    assert answer["errors"][0]["message"] == "no turn with this id has begun in this session"
    assert session.events.count() == 1
    assert not session.turns.exists()
    assert send(agent, path, begun, {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "complete"}}).status == 201


@pytest.mark.parametrize("body", [{}, {"events": {}}, {"events": [7]}, {"events": None}, [], {"type": "info"}])
def test_a_body_of_the_wrong_shape_is_refused(agent, path, body):
    assert agent.post(f"{path}/events", body).status == 422


def test_a_thousand_events_at_once_are_taken_and_no_more(agent, path):
    assert send(agent, path, *[{"type": "info"}] * 1001).status == 422
    assert send(agent, path, *[{"type": "info"}] * 1000)["stored"] == 1000


def test_a_batch_of_nothing_only_asks_for_commands(agent, path, session):
    assert send(agent, path).body == {"stored": 0, "duplicates": 0, "last_seq": 1, "commands": []}


def test_commands_come_with_the_answer_to_the_key_of_the_sessions_source_alone(agent, owner, path):
    agent.post(f"{path}/commands", {"type": "interrupt"})

    assert send(agent_of(owner, source="desk"), path)["commands"] == []
    handed = send(agent, path)["commands"]
    assert [one["command"] for one in handed] == [{"type": "interrupt"}]
    assert send(agent, path)["commands"] == []
    assert Command.objects.get().status == "delivered"


def test_turns_tell_tokens_and_tools(agent, path):
    send(
        agent,
        path,
        {"type": "turn_start", "turn_id": "t1"},
        *({"type": "tool_call_start", "id": f"c{n}", "name": "Bash", "args": {}} for n in range(4)),
        {"type": "tool_call_result", "id": "c0", "name": "Bash", "output": "ok"},
        {"type": "tool_call_result", "id": "c1", "name": "Bash", "output": "bad", "is_error": True},
        {"type": "footer", "prompt_tokens": 7, "completion_tokens": 2, "elapsed_ms": 900},
        {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "complete"}},
        {"type": "turn_start", "turn_id": "t2"},
    )

    first, second = agent.get(f"{path}/turns")["items"]
    assert first["tokens"] == {
        "prompt_tokens": 7, "completion_tokens": 2, "cache_read_tokens": None, "thinking_tokens": None,
    }  # fmt: skip
    assert first["tools"] == {"total": 4, "successful": 1, "failed": 1, "rejected": 0, "aborted": 2}
    assert (first["elapsed_ms"], first["reason"]) == (900, {"kind": "complete", "message": None})
    assert (second["turn_id"], second["ended_at"], second["reason"]) == ("t2", None, None)
    assert [turn["turn_id"] for turn in agent.get(f"{path}/turns?limit=1")["items"]] == ["t1"]


def test_the_state_is_set_and_read(agent, path, session):
    running = agent.put(f"{path}/state", {"state": "running", "turn_id": "t9"})

    assert (running.status, running["state"], running["turn_id"]) == (200, "running", "t9")
    assert agent.get(f"{path}/state").body == running.body
    assert agent.put(f"{path}/state", {"state": "idle"}).body == {
        "state": "idle", "turn_id": None, "turn_started_at": None,
    }  # fmt: skip
    assert agent.get(path)["last_activity_at"] == agent.get(path)["created_at"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"state": "busy"}, "state"), ({}, "state"), ({"state": "running", "turn_id": "\x00"}, "turn_id")],
)
def test_another_word_is_no_state(agent, path, body, field):
    answer = agent.put(f"{path}/state", body)

    assert (answer.status, answer.fields) == (422, [field])
    assert agent.get(path)["state"] == "idle"


def test_a_heartbeat_shows_what_the_agent_does_and_brings_commands(agent, path, session):
    agent.post(f"{path}/commands", {"type": "interrupt"})

    answer = agent.post(f"{path}/heartbeat", {"interval": 15, "progress": 1, "activity": "Compiling"})

    assert (answer.status, [one["command"] for one in answer["commands"]]) == (200, [{"type": "interrupt"}])
    session.refresh_from_db()
    assert (session.doing, session.heartbeat_interval_seconds, session.progress) == ("Compiling", 15, 1)
    assert agent.post(f"{path}/heartbeat", {}).body == {"commands": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": 10**6}, "interval"),
        ({"progress": -1}, "progress"),
        ({"progress": 2**63}, "progress"),
        ({"expect_within": -0.5}, "expect_within"),
        ({"activity": "\x00"}, "activity"),
    ],
)
def test_a_heartbeat_that_says_what_cannot_be_is_refused(agent, path, body, field):
    answer = agent.post(f"{path}/heartbeat", body)

    assert (answer.status, answer.fields) == (422, [field])


def test_nobody_else_sends_events_to_a_public_session(agent):
    public = make_session(make_user(), visibility="PUBLIC")

    assert send(agent, f"sessions/{public.uuid}", {"type": "info"}).status == 403
    assert public.events.count() == 1


def test_a_purge_leaves_the_figures_of_turns(agent, path, session):
    make_events(session, {"type": "turn_start", "turn_id": "t1"})
    append(session, user("x"), asking("c1", "c2"), answering("c1", "ok"), answering("c2", "[cancelled]"))
    make_events(session, {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "complete"}})
    make_events(session, {"type": "turn_start", "turn_id": "t2"})
    append(session, asking("c3"))
    before = [turn["tools"] for turn in agent.get(f"{path}/turns")["items"]]
    assert before[0] == {"total": 2, "successful": 1, "failed": 0, "rejected": 0, "aborted": 1}

    compaction.compact(session.pk, summary="s", preserve_count=1, by="test")
    assert purge_archived(session.owner) == 4

    assert [turn["tools"] for turn in agent.get(f"{path}/turns")["items"]] == before
