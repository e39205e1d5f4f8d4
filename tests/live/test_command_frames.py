"""Commands over a program's socket: to the session's own agent, once, in order, whichever way comes first."""

import asyncio

import pytest

from sessions import commands
from sessions.models import Command
from tests.factories import make_events, make_key, make_session, make_user
from tests.live.sockets import in_db, program

pytestmark = pytest.mark.django_db(transaction=True)

PROMPT = {"type": "user_prompt", "text": "go on", "images": []}
STOP = {"type": "interrupt"}


@in_db
def session_with_key(*scopes, source="laptop"):
    user = make_user()
    key = make_key(user, scopes=scopes or ("write",), source=source)
    return make_session(user, source="laptop"), key.plain


async def ask(session, body):
    return await in_db(commands.ask)(session.pk, body, by=None)


async def status_of(command):
    return await in_db(lambda: Command.objects.get(pk=command.pk).status)()


async def connect(session, key):
    peer = await program(f"sessions/{session.uuid}/?after=999", key).open()
    hello = await peer.frame()
    assert hello["type"] == "hello"
    return peer


async def test_what_waited_comes_at_once_and_what_is_asked_later_as_it_is_asked():
    session, key = await session_with_key()
    first, second = await ask(session, PROMPT), await ask(session, STOP)
    peer = await connect(session, key)
    frames = [await peer.frame(), await peer.frame()]
    assert [(frame["type"], frame["id"], frame["command"]) for frame in frames] == [
        ("command", first.pk, PROMPT),
        ("command", second.pk, STOP),
    ]
    assert frames[0]["created_at"] == first.created_at.isoformat(timespec="microseconds")
    third = await ask(session, STOP)
    assert (await peer.frame())["id"] == third.pk
    assert await status_of(third) == "delivered"
    assert await peer.is_silent()
    await peer.leave()


async def test_an_acknowledgement_is_taken_once_and_answered():
    session, key = await session_with_key()
    command = await ask(session, STOP)
    peer = await connect(session, key)
    await peer.frame()
    await peer.say({"command_ack": {"id": command.pk, "obeyed": False, "detail": "busy"}, "id": "a"})
    answer = await peer.frame()
    assert (answer["type"], answer["id"]) == ("ack", "a")
    assert await status_of(command) == "refused"
    await peer.say({"command_ack": {"id": command.pk, "obeyed": True}})
    assert (await peer.frame())["code"] == "conflict"
    await peer.leave()


async def test_a_command_of_another_session_is_not_found():
    session, key = await session_with_key()
    other = await in_db(make_session)()
    command = await ask(other, STOP)
    peer = await connect(session, key)
    await peer.say({"command_ack": {"id": command.pk, "obeyed": True}})
    assert (await peer.frame())["code"] == "not_found"
    await peer.leave()


@pytest.mark.parametrize(
    ("scopes", "source"), [(("read",), "laptop"), (("read", "write"), "server"), (("control", "read"), "laptop")]
)
async def test_others_get_no_commands_and_acknowledge_none(scopes, source):
    session, key = await session_with_key(*scopes, source=source)
    command = await ask(session, STOP)
    peer = await connect(session, key)
    assert await peer.is_silent()
    assert await status_of(command) == "requested"
    await peer.say({"command_ack": {"id": command.pk, "obeyed": True}})
    assert (await peer.frame())["code"] == "forbidden"
    assert await status_of(command) == "requested"
    await peer.leave()


async def test_a_poll_and_two_sockets_share_each_command_once():
    session, key = await session_with_key()
    peers = [await connect(session, key) for _ in range(2)]
    asked = [await ask(session, PROMPT) for _ in range(6)]
    polled = [command.pk for command in await in_db(commands.take)(session.pk)]
    await in_db(make_events)(session, {"type": "info", "message": "beat"})
    for command in asked:
        async with asyncio.timeout(10):
            while await status_of(command) != "delivered":  # noqa: ASYNC110 - the database tells, nothing signals
                await asyncio.sleep(0.02)
    handed = list(polled)
    for peer in peers:
        while not peer.wire.output_queue.empty():
            frame = await peer.frame()
            assert frame["type"] == "command"
            handed.append(frame["id"])
    assert sorted(handed) == [command.pk for command in asked]
    for peer in peers:
        await peer.leave()


@pytest.mark.parametrize(
    "frame",
    [
        {"command_ack": {"id": 1}},
        {"command_ack": {"id": "1", "obeyed": True}},
        {"command_ack": {"id": 1, "obeyed": "yes"}},
        {"command_ack": {"id": 1, "obeyed": True}, "heartbeat": {}},
        {},
    ],
)
async def test_a_frame_that_says_too_little_or_too_much_is_refused(frame):
    session, key = await session_with_key()
    peer = await connect(session, key)
    await peer.say(frame)
    assert (await peer.frame())["code"] == "invalid_request"
    await peer.leave()
