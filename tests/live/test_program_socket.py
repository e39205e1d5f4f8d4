"""Sockets of programs on one session and on the board."""

import asyncio
import json

import pytest

from sessions.live import frames
from tests.api.calling import Agent
from tests.factories import make_events, make_key, make_message, make_session, make_user
from tests.live.sockets import eventually, hub, in_db, program

pytestmark = pytest.mark.django_db(transaction=True)


@in_db
def session_with_key(**facts):
    user = make_user()
    key = make_key(user, **{"source": "laptop", **facts})
    return make_session(user), key.plain


async def follow(session, key, *, after=0):
    peer = await program(f"sessions/{session.uuid}/?after={after}", key).open()
    return peer, await peer.frame()


async def test_hello_tells_how_far_the_log_reaches_and_every_event_follows_with_its_seq():
    session, key = await session_with_key()
    await in_db(make_events)(session, {"type": "info", "message": "one"}, {"type": "warn", "message": "two"})
    peer, hello = await follow(session, key)
    assert hello["type"] == "hello"
    assert hello["session"] == str(session.uuid)
    assert hello["last_seq"] == 3
    events = await peer.events(until=3)
    assert [(event["seq"], event["type"]) for event in events] == [
        (1, "server.session_created"),
        (2, "info"),
        (3, "warn"),
    ]
    assert events[1]["message"] == "one"
    assert set(events[1]) >= {"event_id", "at", "turn_id", "received_at"}
    await peer.leave()


async def test_replay_begins_after_the_seq_that_the_program_names():
    session, key = await session_with_key()
    await in_db(make_events)(session, *({"type": "info", "n": n} for n in range(5)))
    peer, _ = await follow(session, key, after=4)
    assert [event["seq"] for event in await peer.events(until=6)] == [5, 6]
    await peer.leave()


async def test_a_seq_beyond_the_log_stands_at_its_end():
    session, key = await session_with_key()
    peer, hello = await follow(session, key, after=99)
    assert hello["last_seq"] == 1
    await in_db(make_events)(session, {"type": "info"})
    assert [event["seq"] for event in await peer.events(until=2)] == [2]
    await peer.leave()


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30])
async def test_an_after_that_is_no_number_closes_with_4400(after):
    session, key = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after={after}", key).open()
    assert await peer.close_code() == 4400


async def test_what_is_recorded_later_arrives_live():
    session, key = await session_with_key()
    peer, _ = await follow(session, key)
    await peer.events(until=1)
    await in_db(make_message)(session)
    (event,) = await peer.events(until=2)
    assert event["type"] == "server.messages_added"
    await peer.leave()


async def test_replay_joins_live_without_gap_or_repeat_while_many_write():
    session, key = await session_with_key()
    writers, each = 4, 25

    async def write(writer):
        for number in range(each):
            await in_db(make_events)(session, {"type": "info", "writer": writer, "number": number})

    async def read(delay):
        await asyncio.sleep(delay)
        peer, _ = await follow(session, key)
        seqs = [event["seq"] for event in await peer.events(until=writers * each + 1)]
        await peer.leave()
        return seqs

    readers = [read(delay / 20) for delay in range(8)]
    results = await asyncio.gather(*(write(writer) for writer in range(writers)), *readers)
    assert results[writers:] == [list(range(1, writers * each + 2))] * 8


async def test_joined_deltas_are_delivered_as_they_came_with_one_seq():
    session, key = await session_with_key()
    await in_db(make_events)(session, *({"type": "text_delta", "text": text} for text in ("Hel", "lo", " there")))
    peer, _ = await follow(session, key, after=1)
    parts = [await peer.frame() for _ in range(3)]
    assert [(part["seq"], part["part"], part["parts"], part["text"]) for part in parts] == [
        (2, 0, 3, "Hel"),
        (2, 1, 3, "lo"),
        (2, 2, 3, " there"),
    ]
    await peer.leave()


async def test_an_event_of_two_megabytes_arrives_in_pieces_under_the_limit():
    session, key = await session_with_key()
    output = 'line "é"\n' * 230_000
    await in_db(make_events)(session, {"type": "tool_call_result", "id": "c1", "output": output})
    peer, _ = await follow(session, key, after=1)
    pieces = [await peer.frame()]
    while len(pieces) < pieces[0]["pieces"]:
        text = await peer.raw()
        assert len(text.encode()) <= frames.LIMIT_BYTES
        pieces.append(json.loads(text))
    assert [piece["piece"] for piece in pieces] == list(range(len(pieces)))
    assert {piece["seq"] for piece in pieces} == {2}
    assert json.loads("".join(piece["json"] for piece in pieces))["output"] == output
    await peer.leave()


async def test_the_key_may_come_in_the_first_frame():
    session, key = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/").open()
    await peer.say({"key": key})
    assert (await peer.frame())["type"] == "hello"
    await peer.leave()


@pytest.mark.parametrize("first", [{"key": "koda_wrong"}, {"events": []}, "no JSON", {"key": 7}, {"key": "x" * 2_000}])
async def test_a_first_frame_without_a_valid_key_closes_with_4401(first):
    session, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/").open()
    await peer.say(first)
    assert await peer.close_code() == 4401


async def test_a_wrong_key_in_the_header_closes_with_4401():
    session, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/", "koda_wrong").open()
    assert await peer.close_code() == 4401


async def test_who_shows_no_key_in_time_is_closed_with_4401(monkeypatch):
    monkeypatch.setattr("sessions.live.consumers.programs.KEY_SECONDS", 0.01)
    session, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/").open()
    assert await peer.close_code() == 4401


async def test_a_key_in_the_address_is_no_key():
    session, key = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?key={key}").open()
    await peer.say({"events": []})
    assert await peer.close_code() == 4401


async def test_somebody_elses_private_session_is_not_there():
    session, _ = await session_with_key()
    _, stranger = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/", stranger).open()
    assert await peer.close_code() == 4404


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


async def test_frames_to_the_board_count_too(own_counts, settings):
    settings.KODA_RATE_LIMIT = 1
    _, key = await session_with_key()
    peer = await program("board/", key).open()
    await peer.frame()
    for code in ("invalid_request", "rate_limited"):
        await peer.say({"events": []})
        assert (await peer.frame())["code"] == code
    await peer.leave()


async def test_wrong_keys_are_limited_by_address_over_both_doors_and_good_ones_beside_them_are_not(
    own_counts, time_machine
):
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    session, key = await session_with_key()
    for _ in range(59):
        await in_db(Agent(plain="koda_wrong").get)("sessions")
    codes = [await (await program("board/", "koda_wrong").open()).close_code() for _ in range(3)]
    assert codes == [4401, 4429, 4429]
    assert (await in_db(Agent(plain="koda_wrong").get)("sessions")).status == 429
    peer, hello = await follow(session, key)
    assert hello["type"] == "hello"
    await peer.leave()


async def test_broken_characters_in_content_are_replaced():
    session, key = await session_with_key()
    peer, _ = await follow(session, key, after=1)
    await peer.say('{"events": [{"type": "info", "message": "a\\u0000b\\ud800c"}]}')
    (event,) = await peer.events(until=2)
    assert event["message"] == "a\ufffdb\ufffdc"
    await peer.leave()


async def test_a_revoked_key_is_closed_with_4401_within_a_beat():
    user = await in_db(make_user)()
    key = await in_db(make_key)(user)
    session = await in_db(make_session)(user)
    peer, _ = await follow(session, key.plain)
    await peer.events(until=1)
    await in_db(key.record.revoke)()
    await hub().tick()
    assert await peer.close_code() == 4401


async def test_a_destroyed_session_closes_with_4404():
    session, key = await session_with_key()
    peer, _ = await follow(session, key)
    await peer.events(until=1)
    await in_db(session.destroy)()
    assert await peer.close_code() == 4404


async def test_a_beat_pings():
    session, key = await session_with_key()
    peer, _ = await follow(session, key, after=1)
    await hub().tick()
    message = await peer.receive()
    assert json.loads(message["text"])["type"] == "ping"
    await peer.leave()


async def test_the_board_pulses_for_what_the_key_may_see_and_for_nothing_else():
    user = await in_db(make_user)()
    key = await in_db(make_key)(user)
    mine = await in_db(make_session)(user)
    other = await in_db(make_session)()
    peer = await program("board/", key.plain).open()
    assert (await peer.frame())["type"] == "hello"
    await in_db(make_message)(other)
    await in_db(make_message)(mine)
    pulse = await peer.frame()
    assert (pulse["type"], pulse["session"]) == ("pulse", str(mine.uuid))
    assert (pulse["last_seq"], pulse["message_count"]) == (2, 1)
    assert await peer.is_silent()
    await peer.leave()


async def test_a_session_that_goes_out_of_sight_is_told_as_gone():
    key = await in_db(make_key)()
    session = await in_db(make_session)()
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    peer = await program("board/", key.plain).open()
    await peer.frame()
    await in_db(session.edit)(by="test", visibility="PRIVATE")
    pulse = await peer.frame()
    assert pulse == {"type": "pulse", "session": str(session.uuid), "gone": True}
    await in_db(make_message)(session)
    assert await peer.is_silent()
    await peer.leave()


async def test_a_session_that_changes_all_the_time_pulses_four_times_a_second_and_its_last_change_arrives():
    user = await in_db(make_user)()
    key = await in_db(make_key)(user)
    session = await in_db(make_session)(user)
    peer = await program("board/", key.plain).open()
    await peer.frame()
    loop = asyncio.get_running_loop()
    began, count = loop.time(), 0
    while loop.time() - began < 1.2:
        await in_db(make_events)(session, {"type": "info"})
        count += 1
    pulses = [await peer.frame()]
    while pulses[-1]["last_seq"] < count + 1:
        pulses.append(await peer.frame())
    assert count > len(pulses)
    assert len(pulses) <= 4 * (loop.time() - began) + 2
    await peer.leave()


async def test_the_board_wants_a_key_that_may_read():
    key = await in_db(make_key)(scopes=("write",))
    peer = await program("board/", key.plain).open()
    assert await peer.close_code() == 4403


async def test_who_has_gone_is_forgotten():
    session, key = await session_with_key()
    peer, _ = await follow(session, key)
    board = await program("board/", key).open()
    await board.frame()
    await peer.leave()
    await board.leave()
    await eventually(lambda: not hub()._watchers and not hub()._of_session and not hub().board.watchers)
