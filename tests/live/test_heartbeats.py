"""Heartbeats, which leave nothing in the log: open pages learn of them all the same, programs do not."""

import re
from datetime import timedelta

import pytest
from django.db import connection  # noqa: F401 - a mark asks it
from django.utils import timezone

from sessions import protocol
from sessions.models import Session
from tests.factories import make_copies, make_events, make_key, make_session, make_user
from tests.live.sockets import cursor_of, hub, in_db, page, program, settle, sign_in
from tests.steps import counted_steps

pytestmark = pytest.mark.django_db(transaction=True)
START = {"type": "turn_start", "turn_id": "t1"}


@in_db
def running(user, *, heard_ago=10.0):
    """Return a session whose agent began a turn some seconds ago."""
    session = make_session(user)
    make_events(session, START, now=timezone.now() - timedelta(seconds=heard_ago))
    return session


async def beat(session):
    """Let the agent beat and the hub look; return when that was, as pages write it."""
    heard = await in_db(protocol.heartbeat)(session.pk, interval_seconds=15)
    await hub().listen()
    return heard.heard_at


async def open_wall(user, query=""):
    peer = await page(f"board/?{query}", await sign_in(user)).open()
    await peer.frame()
    await peer.batches(until=lambda html: 'id="counters"' in html)
    return peer


def rows_in(html):
    return [int(pk) for pk in re.findall(r'<li class="session" id="session-(\d+)"', html)]


def shows(html, at):
    """Say whether an age in the HTML counts from `at`."""
    return f'datetime="{at.isoformat()}"' in html


async def texts_of(peer):
    await settle()
    return [(await peer.receive()).get("text", "close") for _ in range(peer.wire.output_queue.qsize())]


async def catch_up(peer):
    """Take what a page is still sent of what was there before: a log of which the hub hears first is read anew."""
    await settle()
    while not peer.wire.output_queue.empty():
        await peer.batch()


async def test_a_row_of_the_wall_says_when_its_agent_beat_last():
    user = await in_db(make_user)()
    session = await running(user)
    peer = await open_wall(user)
    for _ in range(2):
        heard_at = await beat(session)
        html = await peer.batch()
        assert rows_in(html) == [session.pk]
        assert shows(html, heard_at)
        assert 'id="counters"' not in html
    await hub().listen()
    assert await peer.is_silent(), "told once"
    await peer.leave()


async def test_the_page_of_a_session_says_so_too_and_stays_where_it_stands_in_the_log():
    user = await in_db(make_user)()
    session = await running(user)
    seq = (await in_db(Session.objects.get)(pk=session.pk)).last_seq
    peer = await page(f"sessions/{session.uuid}/?after={seq}", await sign_in(user)).open()
    await peer.frame()
    heard_at = await beat(session)
    html = await peer.batch()
    assert 'id="verdict"' in html
    assert 'id="reason"' in html
    assert shows(html, heard_at)
    assert cursor_of(html) == seq
    await in_db(make_events)(session, {"type": "info", "message": "next"})
    assert cursor_of(await peer.batch()) == seq + 1
    await hub().listen()
    assert await peer.is_silent(), "the event said it already"
    await peer.leave()


async def test_whoever_may_no_longer_read_the_session_is_not_told():
    user = await in_db(make_user)()
    session = await running(None)
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    wall = await open_wall(user)
    await in_db(Session.objects.filter(pk=session.pk).update)(visibility="PRIVATE")
    await beat(session)
    assert await wall.is_silent()
    await wall.leave()


async def test_a_page_that_comes_back_learns_what_it_missed():
    user = await in_db(make_user)()
    session = await running(user, heard_ago=100)
    rendered = timezone.now() - timedelta(seconds=20)
    heard = await in_db(protocol.heartbeat)(session.pk, interval_seconds=15, now=rendered + timedelta(seconds=1))
    peer = await page(f"board/?since={int(rendered.timestamp() * 1_000_000)}", await sign_in(user)).open()
    await peer.frame()
    assert shows(await peer.batches(until=rows_in), heard.heard_at)
    await peer.leave()


async def test_the_page_of_a_session_that_comes_back_learns_it_too():
    user = await in_db(make_user)()
    session = await running(user, heard_ago=100)
    told = timezone.now() - timedelta(seconds=70)
    heard = await in_db(protocol.heartbeat)(session.pk, interval_seconds=15, now=told + timedelta(seconds=1))
    seq = (await in_db(Session.objects.get)(pk=session.pk)).last_seq
    for seconds, is_told in ((70, True), (60, False)):
        since = int((timezone.now() - timedelta(seconds=seconds)).timestamp() * 1_000_000)
        peer = await page(f"sessions/{session.uuid}/?after={seq}&since={since}", await sign_in(user)).open()
        await peer.frame()
        if is_told:
            html = await peer.batch()
            assert shows(html, heard.heard_at)
            assert cursor_of(html) == seq
        assert await peer.is_silent(), "nothing is new, or told once"
        await peer.leave()


async def test_programs_and_the_inbox_get_nothing_of_it():
    user = await in_db(make_user)()
    key = await in_db(make_key)(user)
    session = await running(user)
    seq = (await in_db(Session.objects.get)(pk=session.pk)).last_seq
    peers = [await program(path, key.plain).open() for path in ("board/", f"sessions/{session.uuid}/?after={seq}")]
    peers.append(await page("inbox/", await sign_in(user)).open())
    wall = await open_wall(user)
    for peer in peers:
        await peer.frame()
        await texts_of(peer)
    await catch_up(wall)
    await beat(session)
    assert rows_in(await wall.batch()) == [session.pk]
    for peer in [*peers, wall]:
        assert await peer.is_silent()
        await peer.leave()


async def test_what_waits_for_a_person_shows_no_heartbeats():
    user = await in_db(make_user)()
    session = await running(user)
    await in_db(make_events)(session, {"type": "approval_request", "id": "q", "tool_name": "Bash", "turn_id": "t1"})
    wall = await open_wall(user)
    await beat(session)
    assert await wall.is_silent()
    await wall.leave()


async def test_all_pages_of_a_session_cost_one_reading_and_no_page_none():
    user = await in_db(make_user)()
    session = await running(user)
    seq = (await in_db(Session.objects.get)(pk=session.pk)).last_seq
    cookie = await sign_in(user)
    peers = [await page(f"sessions/{session.uuid}/?after={seq}", cookie).open() for _ in range(10)]
    for peer in peers:
        await peer.frame()
    before = hub().reads
    await beat(session)
    for peer in peers:
        assert 'id="verdict"' in await peer.batch()
        await peer.leave()
    assert hub().reads - before == 1


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="counts SQLite's steps")
def test_looking_for_heartbeats_costs_nothing_for_sessions_at_rest():
    from sessions.live.hub import _heard_lately

    resting = make_session()
    _heard_lately()  # what the first look has to prepare is none of the second's
    counts = []
    for more in (20, 1000):
        make_copies(resting, more)
        with counted_steps() as steps:
            assert _heard_lately() == {}
        counts.append(steps.count)
    assert counts[0] == counts[1]
