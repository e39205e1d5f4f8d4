"""What programs say over a socket: events and heartbeats, refused in the words of the other door."""

import json

import pytest

from tests.api.calling import Agent
from tests.live.programs import follow, session_with_key
from tests.live.sockets import in_db

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_public_session_may_be_followed_and_not_written_to():
    session, _ = await session_with_key()
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    _, stranger = await session_with_key()
    peer, _ = await follow(session, stranger)
    await peer.events(until=2)
    await peer.say({"events": [{"type": "info"}], "id": 7})
    answer = await peer.frame()
    assert (answer["type"], answer["code"], answer["id"]) == ("error", "forbidden", 7)
    await peer.leave()


async def test_events_from_a_write_key_are_stored_and_acknowledged():
    session, key = await session_with_key(scopes=("write",))
    peer, _ = await follow(session, key)
    await peer.say({"id": "a", "events": [{"type": "turn_start", "turn_id": "t1", "event_id": "e1"}]})
    answer = await peer.frame()
    assert (answer["type"], answer["id"], answer["stored"], answer["duplicates"]) == ("ack", "a", 1, 0)
    await in_db(session.refresh_from_db)()
    assert (session.state, session.last_seq) == ("running", answer["last_seq"])
    await peer.say({"events": [{"type": "turn_start", "turn_id": "t1", "event_id": "e1"}]})
    answer = await peer.frame()
    assert (answer["stored"], answer["duplicates"]) == (0, 1)
    assert await peer.is_silent(), "a key that may only write reads nothing"
    await peer.leave()


async def test_what_a_program_sends_comes_back_to_it_once():
    session, key = await session_with_key()
    peer, _ = await follow(session, key, after=1)
    await peer.say({"events": [{"type": "info", "n": 1}, {"type": "info", "n": 2}]})
    assert [event["n"] for event in await peer.events(until=3)] == [1, 2]
    await peer.leave()


async def test_a_heartbeat_is_a_sign_of_life():
    session, key = await session_with_key(scopes=("write",))
    peer, _ = await follow(session, key)
    await peer.say({"heartbeat": {"interval": 15, "progress": 1, "activity": "Compiling"}})
    assert (await peer.frame())["type"] == "ack"
    await in_db(session.refresh_from_db)()
    assert (session.doing, session.heartbeat_interval_seconds) == ("Compiling", 15)
    await peer.leave()


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("no JSON", None),
        ("[]", ""),
        ({}, None),
        ({"events": [], "heartbeat": {}}, None),
        ({"surprise": 1}, "surprise"),
        ({"events": [{"type": "info"}, {"text": "no type"}]}, "events.1.type"),
        ({"events": [{"type": "turn_start"}]}, "events.0.turn_id"),
        ({"events": [{"type": "a\u0000b"}]}, "events.0.type"),
        ({"events": [{"type": "server.state_changed"}]}, "events.0.type"),
        ({"events": [{"type": "info", "at": "yesterday"}]}, "events.0.at"),
        ({"events": [{"type": "info"}] * 1001}, "events"),
        ({"heartbeat": {"interval": 0}}, "heartbeat.interval"),
        (
            {"events": [{"type": "info"}, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}]},
            "events.1.turn_id",
        ),
    ],
)
async def test_a_frame_that_cannot_be_taken_is_refused_by_name_and_nothing_is_stored(said, field):
    session, key = await session_with_key(scopes=("write",))
    peer, _ = await follow(session, key)
    await peer.say(said)
    answer = await peer.frame()
    assert (answer["type"], answer["code"]) == ("error", "invalid_request")
    assert [error["field"] for error in answer.get("errors", [])] == ([] if field is None else [field])
    await in_db(session.refresh_from_db)()
    assert session.last_seq == 1
    await peer.leave()


SPOILT = [
    {"text": "no type"},
    {"type": ""},
    {"type": 7},
    {"type": "x" * 101},
    {"type": "server.state_changed"},
    {"type": "info", "event_id": ""},
    {"type": "info", "event_id": "\ud800"},
    {"type": "info", "turn_id": "x" * 2001},
    {"type": "info", "at": 7},
    {"type": "info", "at": "2026-03-15T09:26:53"},
    {"type": "info", "at": "9999-12-31T23:59:59Z"},
    {"type": "turn_start"},
    {"type": "turn_end", "turn_id": "never", "reason": {"kind": "complete"}},
    {"type": "tool_call_start", "id": "c"},
    {"type": "text_delta"},
    7,
]


async def test_an_event_that_one_door_refuses_the_other_refuses_in_the_same_words():
    session, key = await session_with_key(scopes=("write",))
    agent = Agent(plain=key)
    peer, _ = await follow(session, key)
    for spoilt in SPOILT:
        body = {"events": [{"type": "info"}, spoilt]}
        posted = await in_db(agent.post)(f"sessions/{session.uuid}/events", body)
        await peer.say(json.dumps(body))
        framed = await peer.frame()
        assert posted.status == 422, spoilt
        assert framed["errors"] == posted["errors"], spoilt
    await in_db(session.refresh_from_db)()
    assert session.last_seq == 1
    await peer.leave()


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "1e999", "[" * 101 + "]" * 101, "9" * 5000])
async def test_what_is_no_json_for_http_is_none_for_a_socket(odd):
    session, key = await session_with_key(scopes=("write",))
    text = f'{{"events": [{{"type": "info", "odd": {odd}}}]}}'
    posted = await in_db(Agent(plain=key).post)(f"sessions/{session.uuid}/events", raw=text)
    peer, _ = await follow(session, key)
    await peer.say(text)
    framed = await peer.frame()
    assert (posted.status, framed["code"], framed["detail"]) == (400, "invalid_request", posted["detail"])
    await peer.leave()


async def test_frames_count_as_requests_of_their_key(own_counts, settings, time_machine):
    settings.KODA_RATE_LIMIT = 3
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    session, key = await session_with_key(scopes=("write",))
    assert (await in_db(Agent(plain=key).post)(f"sessions/{session.uuid}/heartbeat", {})).status == 200
    peer, _ = await follow(session, key)
    answers = []
    for _ in range(3):
        await peer.say({"heartbeat": {}, "id": 1})
        answers.append(await peer.frame())
    assert [answer["type"] for answer in answers] == ["ack", "ack", "error"]
    assert (answers[2]["code"], answers[2]["retry_after"], answers[2]["id"]) == ("rate_limited", 10, 1)
    time_machine.move_to("2026-03-15T09:27:00Z", tick=False)
    await peer.say({"heartbeat": {}})
    assert (await peer.frame())["type"] == "ack"
    await peer.leave()


async def test_broken_characters_in_content_are_replaced():
    session, key = await session_with_key()
    peer, _ = await follow(session, key, after=1)
    await peer.say('{"events": [{"type": "info", "message": "a\\u0000b\\ud800c"}]}')
    (event,) = await peer.events(until=2)
    assert event["message"] == "a\ufffdb\ufffdc"
    await peer.leave()


@pytest.mark.parametrize("odd", ['"\\ud800"', '{"\\ud800": 1}', "NaN", "1e999", '[{"a": -Infinity}]'])
async def test_an_id_that_no_frame_can_hold_is_refused_before_anything_is_stored(odd):
    session, key = await session_with_key()
    peer, _ = await follow(session, key, after=1)
    await peer.say(f'{{"id": {odd}, "events": [{{"type": "info"}}]}}')
    answer = await peer.frame()
    assert (answer["type"], answer["code"]) == ("error", "invalid_request")
    assert "id" not in answer
    await in_db(session.refresh_from_db)()
    assert session.last_seq == 1
    await peer.say({"id": "next", "heartbeat": {}})
    assert (await peer.frame())["id"] == "next"
    await peer.leave()
