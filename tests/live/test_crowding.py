"""Who has as many sockets as they may and comes again: turned away at once, and let in when there is room."""

import asyncio

import pytest
from autobahn.websocket.protocol import WebSocketProtocol as SocketState

from sessions.live import callers, threads
from sessions.live.backpressure import SocketProtocol
from sessions.live.crowding import REMEMBERED_SECONDS, Crowding
from tests.factories import make_session
from tests.live.programs import session_with_key
from tests.live.sockets import HOST, Peer, eventually, hub, in_db, page, program, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two_are_enough(monkeypatch):
    for kind in ("pages.PageSocket", "programs.ProgramSocket"):
        monkeypatch.setattr(f"sessions.live.consumers.{kind}.limit", 2)


async def open_two(place: str, shown: str, form) -> list[Peer]:
    """Open as many as there may be, and one more, which is looked up and turned away."""
    peers = [await form(place, shown).open() for _ in range(2)]
    for peer in peers:
        await peer.frame()
    third = await form(place, shown).open()
    assert await third.close_code() == 4429
    return peers


async def leave(peers: list[Peer]) -> None:
    await asyncio.gather(*(peer.leave() for peer in peers))


async def test_a_key_that_comes_again_is_looked_up_when_there_is_room(two_are_enough, monkeypatch):
    session, key = await session_with_key(scopes=["read"])
    place = f"sessions/{session.uuid}/"
    peers = await open_two(place, key, program)
    looked_up = []
    found = callers.of_key
    monkeypatch.setattr(callers, "of_key", lambda *given: looked_up.append(given) or found(*given))
    for _ in range(3):
        again = await program("board/", key).open()
        assert await again.close_code() == 4429
    assert looked_up == []
    await peers.pop().leave()
    await eventually(lambda: len(hub()._watchers) == 1)
    peers.append(await program(place, key).open())
    assert (await peers[-1].frame())["type"] == "hello"
    assert len(looked_up) == 1
    await leave(peers)


async def test_a_browser_that_comes_again_keeps_no_program_of_its_user_out(two_are_enough, monkeypatch):
    session, key = await session_with_key(scopes=["read"])
    cookie = await sign_in(session.owner)
    peers = await open_two("board/", cookie, page)
    monkeypatch.setattr(callers, "of_browser", None)
    again = await page(f"sessions/{session.uuid}/", cookie).open()
    assert await again.close_code() == 4429
    peers.append(await program("board/", key).open())
    assert (await peers[-1].frame())["type"] == "hello"
    await leave(peers)


async def test_who_shows_a_key_in_the_first_frame_is_taken_for_nobody_else(two_are_enough):
    session, key = await session_with_key(scopes=["read"])
    peers = await open_two(f"sessions/{session.uuid}/", key, program)
    late = await program("board/").open()
    await late.say({"key": key})
    assert await late.close_code() == 4429
    _, another = await session_with_key(scopes=["read"])
    peers.append(await program("board/").open())
    await peers[-1].say({"key": another})
    assert (await peers[-1].frame())["type"] == "hello"
    await leave(peers)


async def test_a_stranger_with_many_pages_keeps_no_other_stranger_out(two_are_enough, settings):
    settings.KODA_PROXY_COUNT = 1
    session = await in_db(make_session)(visibility="PUBLIC")
    headers = [(b"host", HOST.encode()), (b"origin", f"http://{HOST}".encode())]

    def stranger(address: str) -> Peer:
        return Peer(f"/ws/sessions/{session.uuid}/", [*headers, (b"x-forwarded-for", address.encode())])

    peers = [await stranger("2001:db8::1").open() for _ in range(2)]
    for peer in peers:
        await peer.frame()
    assert await (await stranger("2001:db8::2").open()).close_code() == 4429, "the same network"
    peers.append(await stranger("10.0.0.1").open())
    await peers[-1].frame()
    await leave(peers)
    assert not hub()._counts


def test_it_is_forgotten_after_a_while_whose_key_it_is():
    now = [0.0]
    crowding = Crowding(lambda: now[0])
    scope = {"headers": [(b"authorization", b"Bearer koda_1")]}
    crowding.note(scope, "owner", kind="program")
    now[0] += REMEMBERED_SECONDS - 1
    assert crowding.name_of(scope, kind="program") == "owner"
    assert crowding.name_of(scope, kind="page") is None
    assert crowding.name_of({"headers": []}, kind="program") is None
    now[0] += 1
    assert crowding.name_of(scope, kind="program") is None


async def test_work_that_stands_in_line_uses_the_connection_of_the_one_before(monkeypatch):
    closed = []
    monkeypatch.setattr(threads, "close_old_connections", lambda: closed.append(True))
    await asyncio.gather(*(threads.writing(lambda: None) for _ in range(50)))
    assert 0 < len(closed) < 50
    closed.clear()
    with pytest.raises(ZeroDivisionError):
        await threads.writing(lambda: 1 / 0)
    assert closed, "after a failure another one is opened"


def test_who_was_dropped_is_not_accepted_any_more():
    socket = SocketProtocol()
    socket.state = SocketState.STATE_CLOSED
    socket.serverAccept()  # would need a handshake
    assert socket.state == SocketState.STATE_CLOSED
