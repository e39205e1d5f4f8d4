"""The board of programs: pulses of what their key may see."""

import asyncio

import pytest

from sessions.live import broadcast
from tests.factories import make_events, make_key, make_message, make_session, make_user
from tests.live.programs import session_with_key
from tests.live.sockets import hub, in_db, program

pytestmark = pytest.mark.django_db(transaction=True)


async def test_frames_to_the_board_count_too(own_counts, settings):
    settings.KODA_RATE_LIMIT = 1
    _, key = await session_with_key()
    peer = await program("board/", key).open()
    await peer.frame()
    for code in ("invalid_request", "rate_limited"):
        await peer.say({"events": []})
        assert (await peer.frame())["code"] == code
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


async def test_what_another_process_destroys_is_told_as_gone_to_who_could_see_it(monkeypatch):
    user = await in_db(make_user)()
    key = await in_db(make_key)(user)
    mine, deleted, other = [await in_db(make_session)(owner) for owner in (user, user, None)]
    await in_db(deleted.remove)(by="test")
    peer = await program("board/", key.plain).open()
    await peer.frame()
    monkeypatch.setattr(broadcast.Outlet, "put", lambda *_: None)
    for session in (other, deleted, mine):
        await in_db(session.destroy)()
    await hub().look()
    assert await peer.frame() == {"type": "pulse", "session": str(mine.uuid), "gone": True}
    await hub().look()
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
