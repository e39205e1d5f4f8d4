"""One hub a process: each place read once, slow sockets without memory, nothing lost when hints are."""

import asyncio
import threading
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection
from django.db.backends.signals import connection_created

from sessions.live import broadcast, feeds
from sessions.live.hub import NO_STORE
from sessions.models import Event, Session
from tests.factories import make_events, make_key, make_message, make_session, make_user
from tests.live.sockets import hub, in_db, messages_in, page, program, settle, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@in_db
def session_with_key():
    user = make_user()
    return make_session(user), make_key(user).plain, user


@contextmanager
def counted_queries(prefix: str):
    """Count the queries of all connections that are opened meanwhile and begin on a thread named so."""
    seen: list[str] = []

    def count(execute, sql, params, many, context):
        if threading.current_thread().name.startswith(prefix):
            seen.append(sql)
        return execute(sql, params, many, context)

    def join(*, connection, **_):
        if count not in connection.execute_wrappers:
            connection.execute_wrappers.append(count)

    connection_created.connect(join)
    try:
        yield seen
    finally:
        connection_created.disconnect(join)


def drop_hints(monkeypatch):
    """Let the bell ring unheard, as if another process had written and no layer told of it."""
    monkeypatch.setattr(broadcast.Outlet, "put", lambda *_: None)


async def test_fifty_programs_at_one_place_cost_one_reading():
    session, key, _ = await session_with_key()
    peers = [await program(f"sessions/{session.uuid}/?after=1", key).open() for _ in range(50)]
    for peer in peers:
        await peer.frame()
    await settle()
    before = hub().reads
    with counted_queries("hub-read") as queries:
        await in_db(make_message)(session)
        events = [await peer.events(until=2) for peer in peers]
    assert len(events) == 50
    assert hub().reads - before == 1
    logs = [sql for sql in queries if '"koda_sessions_event"' in sql and sql.startswith("SELECT")]
    assert len(logs) == 1, logs
    await asyncio.gather(*(peer.leave() for peer in peers))


async def test_fifty_sockets_of_one_agent_look_for_commands_once():
    session, _, user = await session_with_key()
    key = (await in_db(make_key)(user, source=session.source)).plain
    peers = [await program(f"sessions/{session.uuid}/?after=1", key).open() for _ in range(50)]
    for peer in peers:
        await peer.frame()
    await settle()
    with counted_queries("hub-read") as read, counted_queries("socket-write") as written:
        await in_db(make_message)(session)
        events = [await peer.events(until=2) for peer in peers]
    assert len(events) == 50
    assert len([sql for sql in read if '"koda_sessions_command"' in sql]) == 1
    assert written == []
    await asyncio.gather(*(peer.leave() for peer in peers))


async def test_fifty_pages_at_one_place_cost_one_reading_and_one_rendering(monkeypatch):
    session, _, user = await session_with_key()
    cookie = await sign_in(user)
    peers = [await page(f"sessions/{session.uuid}/?after=1", cookie).open() for _ in range(50)]
    for peer in peers:
        await peer.frame()
    await settle()
    rendered = []
    render = feeds.frames.fragment
    monkeypatch.setattr(feeds.frames, "fragment", lambda name, **kw: rendered.append(name) or render(name, **kw))
    message = await in_db(make_message)(session)
    assert [messages_in(await peer.batch()) for peer in peers] == [[message]] * 50
    assert "message" in rendered
    assert len(rendered) == len(set(rendered)), "each fragment once"
    await asyncio.gather(*(peer.leave() for peer in peers))


async def test_fifty_walls_cost_one_reading_of_a_row():
    session, _, user = await session_with_key()
    cookie = await sign_in(user)
    peers = [await page("board/", cookie).open() for _ in range(50)]
    for peer in peers:
        await peer.frame()
        await peer.batch()
    before = hub().board.reads
    await in_db(make_message)(session)
    for peer in peers:
        await peer.batches(until=lambda html: f'id="session-{session.pk}"' in html)
    assert hub().board.reads - before == 1
    await asyncio.gather(*(peer.leave() for peer in peers))


async def test_a_quiet_session_is_not_read_for_who_watches_another():
    session, key, _ = await session_with_key()
    other, _, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    await settle()
    before = hub().reads
    await in_db(make_message)(other)
    await settle()
    assert hub().reads == before
    await peer.leave()


async def test_a_socket_that_comes_later_is_not_given_an_older_reading():
    session, key, _ = await session_with_key()
    first = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await first.frame()
    for seq in range(2, 8):
        await in_db(make_message)(session)
        await first.events(until=seq)
        late = await program(f"sessions/{session.uuid}/?after=1", key).open()
        assert (await late.frame())["last_seq"] == seq
        assert [event["seq"] for event in await late.events(until=seq)] == list(range(2, seq + 1))
        await late.leave()
    await first.leave()


async def test_lost_hints_cost_a_beat_and_nothing_else(monkeypatch):
    session, key, user = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    wall = await page("board/", await sign_in(user)).open()
    await wall.frame()
    await wall.batch()
    drop_hints(monkeypatch)
    await in_db(make_events)(session, *({"type": "info", "n": n} for n in range(5)))
    assert await peer.is_silent()
    await hub().tick()
    assert [event["seq"] for event in await peer.events(until=6)] == [2, 3, 4, 5, 6]
    await wall.batches(until=lambda html: f'id="session-{session.pk}"' in html)
    await peer.leave()
    await wall.leave()


async def test_another_process_that_writes_is_found_when_the_keeper_says_so(monkeypatch):
    session, key, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    drop_hints(monkeypatch)
    for _ in range(3):
        await in_db(make_message)(session)
        for _ in range(10):
            hub().wake()
    assert [event["seq"] for event in await peer.events(until=4)] == [2, 3, 4]
    await peer.leave()


async def test_what_is_written_between_the_join_and_the_first_reading_is_seen(monkeypatch):
    drop_hints(monkeypatch)
    session, key, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after=0", key).open()
    await peer.frame()
    await in_db(make_message)(session)
    hub().wake()
    assert [event["seq"] for event in await peer.events(until=2)] == [1, 2]
    await peer.leave()


async def test_a_slow_page_does_not_hold_up_the_others():
    session, _, user = await session_with_key()
    cookie = await sign_in(user)
    slow, quick = [await page(f"sessions/{session.uuid}/?after=1", cookie).open() for _ in range(2)]
    await slow.frame()
    await quick.frame()
    ids = [await in_db(make_message)(session)]
    assert messages_in(await slow.raw()) == ids
    assert messages_in(await quick.batch()) == ids
    for _ in range(5):
        message = await in_db(make_message)(session)
        ids.append(message)
        assert messages_in(await quick.batch()) == [message]
    await slow.ack(2)
    assert messages_in(await slow.batch()) == ids[1:]
    await slow.leave()
    await quick.leave()


async def test_two_hundred_sockets_lose_nothing_of_a_burst():
    session, key, _ = await session_with_key()
    sockets, writers, each = 200, 4, 25
    peers = [await program(f"sessions/{session.uuid}/?after=1", key).open() for _ in range(sockets)]
    for peer in peers:
        await peer.frame()

    async def write():
        for number in range(each):
            await in_db(make_events)(session, {"type": "info", "n": number})

    last = writers * each + 1
    loop = asyncio.get_running_loop()
    began = loop.time()
    got, *_ = await asyncio.gather(
        asyncio.gather(*(peer.events(until=last) for peer in peers)), *(write() for _ in range(writers))
    )
    assert {tuple(event["seq"] for event in events) for events in got} == {tuple(range(2, last + 1))}
    assert loop.time() - began < 20
    assert hub().reads < sockets, "shared between them"
    await asyncio.gather(*(peer.leave() for peer in peers))


async def test_a_reading_that_fails_is_tried_again(monkeypatch, caplog):
    session, key, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    read = feeds.ProgramFeed.read

    def fail(self, session_id, place):
        monkeypatch.setattr(feeds.ProgramFeed, "read", read)
        raise OSError("the disk is away")

    monkeypatch.setattr(feeds.ProgramFeed, "read", fail)
    await in_db(make_message)(session)
    assert await peer.close_code() == 4500, "a socket that cannot be fed says so and comes back"
    assert "could not be fed" in caplog.text
    again = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await again.frame()
    assert [event["seq"] for event in await again.events(until=2)] == [2]
    await again.leave()


async def test_readers_leave_no_connection_open():
    from django.db import connections

    from sessions.live.threads import reading

    session, key, _ = await session_with_key()
    peer = await program(f"sessions/{session.uuid}/?after=0", key).open()
    await peer.frame()
    await peer.events(until=1)
    await settle()
    for _ in range(10):
        # `work` runs after the connection of the thread's earlier work was closed.
        assert await reading(lambda: connections["default"].connection) is None
    await peer.leave()


async def test_rows_of_the_log_that_were_there_before_anybody_watched_are_no_news():
    for _ in range(3):
        await session_with_key()
    _, _, user = await session_with_key()
    wall = await page("board/", await sign_in(user)).open()
    await wall.frame()
    await wall.batch()
    await hub().look()
    await hub().tick()
    assert await wall.is_silent()
    assert await in_db(Event.objects.count)() >= 4
    assert await in_db(Session.objects.count)() == 4
    assert connection.vendor in {"sqlite", "postgresql"}
    await wall.leave()


@contextmanager
def broken_database():
    """Let every query fail on connections that are opened meanwhile, as when the database is gone."""

    broken = []

    def fail(*_arguments):
        raise OperationalError("the connection is lost")

    def join(*, connection, **_):
        connection.execute_wrappers.append(fail)
        broken.append(connection)

    connection_created.connect(join)
    try:
        yield
    finally:
        connection_created.disconnect(join)
        for one in broken:
            one.execute_wrappers.remove(fail)


async def test_without_a_database_sockets_are_told_to_come_back_later():
    session, key, user = await session_with_key()
    peers = [
        await program(f"sessions/{session.uuid}/", key).open(),
        await page("board/", await sign_in(user)).open(),
    ]
    for peer in peers:
        await peer.frame()
    await settle()
    with broken_database():
        await hub().beat()
    assert [await peer.close_code() for peer in peers] == [NO_STORE] * 2
    again = await program(f"sessions/{session.uuid}/", key).open()
    assert (await again.frame())["type"] == "hello"
    await again.leave()


async def test_who_comes_while_there_is_no_database_is_told_to_come_back_later(caplog):
    session, key, user = await session_with_key()
    cookies = await sign_in(user)
    with broken_database():
        comers = [await program(f"sessions/{session.uuid}/", key).open(), await page("board/", cookies).open()]
        assert [await comer.close_code() for comer in comers] == [NO_STORE] * 2
    assert not [record for record in caplog.records if record.exc_info], "one line each, without a traceback"
    again = await page("board/", cookies).open()
    await again.frame()
    await again.leave()


async def test_who_comes_while_the_hub_looks_around_stays():
    first, key, user = await session_with_key()
    second = await in_db(make_session)(user)
    there = await program(f"sessions/{first.uuid}/?after=1", key).open()
    await there.frame()
    await settle()
    looks, may_go = threading.Event(), threading.Event()

    def hold(execute, sql, *rest):
        found = execute(sql, *rest)
        if '"koda_sessions_apikey"' in sql and threading.current_thread().name.startswith("hub-read"):
            looks.set()
            may_go.wait(20)
        return found

    def join(*, connection, **_):
        connection.execute_wrappers.append(hold)

    connection_created.connect(join)
    try:
        ticking = asyncio.create_task(hub().tick())
        await asyncio.to_thread(looks.wait, 20)
        comes = await program(f"sessions/{second.uuid}/?after=1", key).open()
        assert (await comes.frame())["type"] == "hello"
        may_go.set()
        await ticking
    finally:
        may_go.set()
        connection_created.disconnect(join)

    await in_db(make_message)(second)
    assert [event["seq"] for event in await comes.events(until=2)] == [2]
    await asyncio.gather(there.leave(), comes.leave())
