"""Who may follow a session as a program: keys in the header or in the first frame, wrong ones, revoked ones."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.calling import Agent
from tests.factories import make_key, make_session, make_user
from tests.live.programs import follow, session_with_key
from tests.live.sockets import hub, in_db, program

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 15, 9, 26, 50, tzinfo=UTC)


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


async def test_wrong_keys_are_limited_by_address_over_both_doors_and_good_ones_beside_them_are_not(
    own_counts, time_machine
):
    time_machine.move_to(NOW, tick=False)
    session, key = await session_with_key()
    for _ in range(59):
        await in_db(Agent(plain="koda_wrong").get)("sessions")
    codes = [await (await program("board/", "koda_wrong").open()).close_code() for _ in range(3)]
    assert codes == [4401, 4429, 4429]
    assert (await in_db(Agent(plain="koda_wrong").get)("sessions")).status == 429
    peer, hello = await follow(session, key)
    assert hello["type"] == "hello"
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


async def test_a_program_that_stays_uses_its_key(time_machine):
    time_machine.move_to(NOW, tick=False)
    user = await in_db(make_user)()
    key = await in_db(make_key)(user)
    session = await in_db(make_session)(user)
    peer, _ = await follow(session, key.plain)
    time_machine.shift(timedelta(hours=2))
    await hub().beat()
    await in_db(key.record.refresh_from_db)()
    assert key.record.last_used_at == NOW + timedelta(hours=2)
    await peer.leave()
