"""Frames that no client would send: each is answered, or ends the socket with a code that says why; never our fault."""

import copy
import json
import logging
import random
from typing import Any

import pytest

from tests.factories import make_key, make_session, make_user
from tests.live.sockets import in_db, page, program, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

SOCKETS = 25
FRAMES = 12
GOOD: list[Any] = [
    {"id": 1, "events": [{"type": "info", "message": "hello"}]},
    {"events": [{"type": "turn_start", "turn_id": "t"}, {"type": "text_delta", "text": "a"}]},
    {"heartbeat": {"progress": 1, "interval": 5, "activity": "reading"}},
    {"command_ack": {"id": 1, "obeyed": True}},
    {"ack": 3},
]
ODD: list[Any] = [
    None, True, -1, 2**63, 2**64, 10**400, 0.5, "", "\0", "\ud800", "x" * 5000, [], {}, [[[[]]]], {"a": {"b": [{}]}},
    "type", "server.session_deleted", "9" * 30,
]  # fmt: skip


def spoilt(chance: random.Random) -> str:
    """Return a frame that is nearly right, or not at all."""
    frame = json.loads(json.dumps(chance.choice(GOOD)))
    for _ in range(chance.randrange(3)):
        place = chance.choice([frame, *_inside(frame)])
        place[chance.choice([*place, "id", "type", "event_id", "turn_id", "at", "key", "after"])] = copy.deepcopy(
            chance.choice(ODD)
        )
    text = json.dumps(frame)
    match chance.randrange(6):
        case 0:
            return text[: chance.randrange(len(text))]
        case 1:
            return "".join(chance.choice('{}[]",:0aé\0\u2028') for _ in range(chance.randrange(60)))
        case 2:
            return "[" * chance.choice([3, 1000, 100_000])
        case 3:
            return json.dumps(chance.choice(ODD))
        case _:
            return text


def _inside(value: Any) -> list[dict]:
    """Return the objects below a value."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [found for one in below for found in ([one] if isinstance(one, dict) else []) + _inside(one)]


async def hold_out(peer, frames: list[Any]) -> int | None:
    """Send frames, and one at last that has to be answered or to end it; return the close code, None without one."""
    for frame in frames:
        if isinstance(frame, bytes):
            await peer.wire.send_input({"type": "websocket.receive", "bytes": frame})
        else:
            await peer.say(frame)
    while (message := await peer.receive())["type"] != "websocket.close":
        if '"id":"last"' in (message.get("text") or ""):
            await peer.leave()
            return None
    return int(message["code"])


@pytest.mark.parametrize("kind", ["program", "page", "board"])
async def test_whatever_comes_the_server_stands_and_says_why(kind, caplog):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    owner = await in_db(make_user)()
    session = await in_db(make_session)(owner)
    key = (await in_db(make_key)(owner)).plain
    cookie = await sign_in(owner)
    codes = set()
    with caplog.at_level(logging.ERROR):
        for _ in range(SOCKETS if kind == "program" else SOCKETS // 3):
            frames: list[Any] = [spoilt(chance) for _ in range(FRAMES)]
            frames[chance.randrange(FRAMES)] = chance.randbytes(chance.randrange(200))
            frames.append({"id": "last", "heartbeat": {}} if kind == "program" else "not a frame of a page")
            if kind == "program":
                peer = program(f"sessions/{session.uuid}/", key)
            else:
                peer = page("board/" if kind == "board" else f"sessions/{session.uuid}/", cookie)
            await peer.open()
            codes.add(await hold_out(peer, frames))
    assert 4500 not in codes, f"our fault, with seed {seed}: {caplog.text[-2000:]}"
    assert codes <= {None, 4400, 4401, 4403, 4404, 4408, 4429}, seed
    assert caplog.text == "", f"with seed {seed}"
