"""Sockets of programs on one session: what was before, what comes, and how it ends."""

import asyncio
import json

import pytest

from sessions.live import frames
from tests.factories import make_events, make_message
from tests.live.programs import follow, session_with_key
from tests.live.sockets import eventually, hub, in_db, program

pytestmark = pytest.mark.django_db(transaction=True)


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


async def test_who_has_gone_is_forgotten():
    session, key = await session_with_key()
    peer, _ = await follow(session, key)
    board = await program("board/", key).open()
    await board.frame()
    await peer.leave()
    await board.leave()
    await eventually(lambda: not hub()._watchers and not hub()._of_session and not hub().board.watchers)
