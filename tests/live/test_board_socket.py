"""The socket of the wall: rows as they change, what has gone, the counters."""

import asyncio
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from sessions import liveness
from sessions.live import broadcast
from sessions.live.consumers import pages
from sessions.live.consumers.socket import PATIENCE_SECONDS
from sessions.models import Lease
from tests.factories import make_events, make_message, make_session, make_user
from tests.live.sockets import cursor_of, hub, in_db, page, settle, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def microseconds(at):
    return int(at.timestamp() * 1_000_000)


async def open_wall(user, *, since=None, query=""):
    when = f"since={microseconds(since)}" if since else ""
    peer = await page(f"board/?{when}{query}", await sign_in(user)).open()
    hello = await peer.frame()
    assert (hello["type"], hello["seq"]) == ("hello", 0)
    counters = await peer.batch() if since is None else ""
    assert since or 'id="counters"' in counters
    return peer


def rows_in(html):
    return [int(pk) for pk in re.findall(r'<li class="session" id="session-(\d+)"', html)]


def removed_in(html):
    return [int(pk) for pk in re.findall(r'<li id="session-(\d+)" hx-swap-oob="delete"></li>', html)]


def counted_in(html):
    """Return the day that the counters count, as their link names it, and how many were active in it."""
    found = re.search(r'\?since=([\d-]+)"><b>(\d+)</b> today', html)
    return found and found.groups()


async def has_no_rows(peer):
    """Say whether nothing but counters comes once the server has nothing left to tell of."""
    await settle()
    texts = [(await peer.receive()).get("text", "close") for _ in range(peer.wire.output_queue.qsize())]
    return not any("session-" in text or text == "close" for text in texts)


async def test_a_row_arrives_when_its_session_changes():
    user = await in_db(make_user)()
    session = await in_db(make_session)(user, title="Fix the <build>")
    peer = await open_wall(user)
    await in_db(make_events)(session, {"type": "turn_start", "turn_id": "t1"})
    html = await peer.batches(until=rows_in)
    assert rows_in(html) == [session.pk]
    assert re.search(rf'id="session-{session.pk}"[^>]*data-band="running"[^>]*hx-swap-oob="morph"', html)
    assert "Fix the &lt;build&gt;" in html
    await peer.leave()


async def test_the_page_is_told_what_happened_since_it_was_rendered():
    user = await in_db(make_user)()
    old, new = [await in_db(make_session)(user) for _ in range(2)]
    stranger = await in_db(make_session)()
    from datetime import timedelta

    rendered = timezone.now() + timedelta(minutes=5)
    for session in (new, stranger):
        await in_db(make_events)(session, {"type": "info"}, now=rendered + timedelta(seconds=1))
    peer = await open_wall(user, since=rendered)
    assert rows_in(await peer.batches(until=rows_in)) == [new.pk]
    assert await has_no_rows(peer)
    await peer.leave()
    assert old.pk != new.pk


async def test_a_new_session_appears():
    user = await in_db(make_user)()
    peer = await open_wall(user)
    session = await in_db(make_session)(user)
    assert rows_in(await peer.batches(until=rows_in)) == [session.pk]
    await peer.leave()


async def test_others_private_sessions_never_show_and_public_ones_do():
    user = await in_db(make_user)()
    private, public = [await in_db(make_session)() for _ in range(2)]
    await in_db(public.edit)(by="test", visibility="PUBLIC")
    peer = await open_wall(user)
    await in_db(make_message)(private)
    await in_db(make_message)(public)
    assert rows_in(await peer.batches(until=rows_in)) == [public.pk]
    await in_db(make_message)(private)
    assert await has_no_rows(peer)
    await peer.leave()


async def test_staff_sees_all():
    staff = await in_db(make_user)(is_staff=True)
    session = await in_db(make_session)()
    peer = await open_wall(staff)
    await in_db(make_message)(session)
    assert rows_in(await peer.batches(until=rows_in)) == [session.pk]
    await peer.leave()


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_session_made_private_is_taken_away(is_known):
    user = await in_db(make_user)()
    session = await in_db(make_session)()
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    peer = await open_wall(user)
    if is_known:
        await in_db(make_message)(session)
        assert rows_in(await peer.batches(until=rows_in)) == [session.pk]
    await in_db(session.edit)(by="test", visibility="PRIVATE")
    assert removed_in(await peer.batches(until=removed_in)) == [session.pk]
    await in_db(make_message)(session)
    assert await has_no_rows(peer)
    await peer.leave()


@pytest.mark.parametrize("act", ["remove", "destroy"])
async def test_a_deleted_session_is_taken_away(act):
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    pk = session.pk
    peer = await open_wall(user)
    await (in_db(session.remove)(by="test") if act == "remove" else in_db(session.destroy)())
    assert removed_in(await peer.batches(until=removed_in)) == [pk]
    await peer.leave()


async def test_what_was_hidden_while_a_page_was_away_is_taken_away_when_it_comes_back():
    user = await in_db(make_user)()
    session, deleted = await in_db(make_session)(), await in_db(make_session)(user)
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    rendered = timezone.now()
    await in_db(session.edit)(by="test", visibility="PRIVATE")
    await in_db(deleted.remove)(by="test")
    peer = await open_wall(user, since=rendered)
    html = await peer.batches(until=lambda html: len(removed_in(html)) == 2)
    assert sorted(removed_in(html)) == sorted([session.pk, deleted.pk])
    assert rows_in(html) == []
    await peer.leave()


async def test_what_was_destroyed_while_a_page_was_away_is_taken_away_when_it_comes_back():
    user = await in_db(make_user)()
    session, old = [await in_db(make_session)(user) for _ in range(2)]
    pks = [session.pk, old.pk]
    await in_db(old.destroy)(now=timezone.now() - timedelta(hours=1))
    rendered = timezone.now()
    await in_db(session.destroy)()
    peer = await open_wall(user, since=rendered)
    assert removed_in(await peer.batches(until=removed_in)) == pks[:1]
    await peer.leave()


async def test_what_another_process_destroys_is_taken_away_with_all_below_it(monkeypatch):
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    child = await in_db(make_session)(user, parent=session)
    pks = [session.pk, child.pk]
    peer = await open_wall(user)
    monkeypatch.setattr(broadcast.Outlet, "put", lambda *_: None)
    await in_db(session.destroy)()
    await hub().look()
    assert sorted(removed_in(await peer.batches(until=lambda html: len(removed_in(html)) == 2))) == pks
    await hub().look()
    assert await has_no_rows(peer), "told once"
    await peer.leave()


async def test_a_page_is_not_told_of_what_others_kept_to_themselves_and_destroyed(monkeypatch):
    user = await in_db(make_user)()
    mine, deleted, other = [await in_db(make_session)(owner) for owner in (user, user, None)]
    pks = [mine.pk, deleted.pk]
    peer = await open_wall(user)
    monkeypatch.setattr(broadcast.Outlet, "put", lambda *_: None)
    await in_db(deleted.remove)(by="test")
    for session in (other, deleted, mine):
        await in_db(session.destroy)()
    await hub().look()
    html = await peer.batches(until=lambda html: set(removed_in(html)) >= set(pks))
    assert sorted(removed_in(html)) == pks
    assert await has_no_rows(peer)
    await peer.leave()


async def test_very_many_rows_are_taken_away_in_batches(monkeypatch):
    monkeypatch.setattr(pages, "ROWS_REMOVED", 2)
    user = await in_db(make_user)()
    sessions = [await in_db(make_session)(user) for _ in range(5)]
    pks = [session.pk for session in sessions]
    rendered = timezone.now()
    for session in sessions:
        await in_db(session.destroy)()
    peer = await open_wall(user, since=rendered)
    found = [removed_in(await peer.batch()) for _ in range(3)]
    assert [len(pks) for pks in found] == [2, 2, 1]
    assert [pk for some in found for pk in some] == pks
    await peer.leave()


async def test_a_filtered_wall_gets_what_matches_and_loses_what_no_longer_does():
    user = await in_db(make_user)()
    koda = await in_db(make_session)(user, agent_name="koda")
    other = await in_db(make_session)(user, agent_name="other")
    peer = await open_wall(user, query="&agent=koda&state=running")
    await in_db(make_events)(other, {"type": "turn_start", "turn_id": "t1"})
    await in_db(make_events)(koda, {"type": "turn_start", "turn_id": "t1"})
    html = await peer.batches(until=rows_in)
    assert rows_in(html) == [koda.pk]
    await in_db(make_events)(koda, {"type": "turn_end", "turn_id": "t1", "reason": {"kind": "complete"}})
    assert koda.pk in removed_in(await peer.batches(until=lambda html: koda.pk in removed_in(html)))
    await peer.leave()


async def test_the_counters_follow_and_come_at_most_once_a_second():
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    peer = await open_wall(user)
    await in_db(make_events)(session, {"type": "turn_start", "turn_id": "t1"})
    html = await peer.batches(until=lambda html: 'data-running="1"' in html)
    assert html.count('id="counters"') == 1
    began = asyncio.get_running_loop().time()
    for number in range(2, 8):
        await in_db(make_events)(session, {"type": "turn_start", "turn_id": f"t{number}"})
    html = ""
    await in_db(make_events)(session, {"type": "turn_end", "turn_id": "t7", "reason": {"kind": "complete"}})
    html = await peer.batches(until=lambda html: 'data-running="0"' in html)
    assert html.count('id="counters"') <= asyncio.get_running_loop().time() - began + 1
    await peer.leave()


async def test_an_incident_shows_on_an_open_wall_when_the_watchdog_finds_it_and_goes_when_a_session_is_heard():
    user = await in_db(make_user)()
    sessions = [await in_db(make_session)(user) for _ in range(3)]
    long_ago = timezone.now() - timedelta(hours=1)
    for session in sessions:
        await in_db(make_events)(session, {"type": "turn_start", "turn_id": "t1"}, now=long_ago)
    peer = await open_wall(user)
    await in_db(liveness.watch)()
    html = await peer.batches(until=lambda html: "silent since" in html)
    assert re.search(r'id="incidents" hx-swap-oob="morph"', html)
    assert "3 of its 3 running sessions" in html
    await in_db(make_events)(sessions[0], {"type": "info", "message": "back"})
    html = await peer.batches(until=lambda html: 'id="incidents"' in html)
    assert "silent since" not in html, "two of three are not enough"
    await peer.leave()


async def test_rows_that_change_while_a_batch_is_under_way_come_once_as_they_are_then():
    user = await in_db(make_user)()
    session, other = [await in_db(make_session)(user) for _ in range(2)]
    peer = await open_wall(user)
    await in_db(make_message)(other)
    first = await peer.raw()
    for number in range(5):
        await in_db(session.edit)(by="test", title=f"Title {number}")
        await asyncio.sleep(0.1)
    assert await has_no_rows(peer)
    await peer.ack(cursor_of(first))
    html = await peer.batches(until=lambda html: "Title 4" in html)
    assert rows_in(html).count(session.pk) == 1
    await peer.leave()


async def test_batches_are_numbered_and_a_wall_that_does_not_acknowledge_is_closed():
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    peer = await open_wall(user)
    await in_db(make_message)(session)
    assert cursor_of(await peer.raw()) == 2
    began = hub().clock()
    hub().clock = lambda: began + PATIENCE_SECONDS + 1
    await hub().tick()
    assert await peer.close_code() == 4408


@pytest.mark.parametrize("since", ["x", "-5", str(2**62)])
async def test_a_since_that_is_no_time_is_refused(since):
    peer = await page(f"board/?since={since}", await sign_in(await in_db(make_user)())).open()
    assert await peer.close_code() == 4400


async def test_who_has_not_signed_in_is_closed_with_4401():
    peer = await page("board/").open()
    assert await peer.close_code() == 4401


async def test_two_people_see_each_their_own():
    users = [await in_db(make_user)() for _ in range(2)]
    sessions = [await in_db(make_session)(user) for user in users]
    peers = [await open_wall(user) for user in users]
    for session in sessions:
        await in_db(make_message)(session)
    seen = [rows_in(await peer.batches(until=rows_in)) for peer in peers]
    assert seen == [[session.pk] for session in sessions]
    assert all([await has_no_rows(peer) for peer in peers])
    for peer in peers:
        await peer.leave()


async def test_an_open_wall_is_told_with_a_beat_when_somebody_watches_and_when_nobody_does_any_more():
    await in_db(Lease.objects.take)(liveness.WATCHDOG, owner="me", seconds=30)
    peer = await open_wall(await in_db(make_user)())
    await hub().tick()
    assert await peer.is_silent(), "nobody looked when the page was made, nor since"
    await in_db(Lease.objects.touch)(liveness.WATCHDOG)
    await hub().tick()
    html = await peer.batches(until=lambda html: 'id="watched"' in html)
    assert "watched " in html
    assert "Nobody looks" not in html
    late = timezone.now() - liveness.LATE_AFTER - timedelta(seconds=1)
    await in_db(Lease.objects.touch)(liveness.WATCHDOG, now=late)
    await hub().tick()
    html = await peer.batches(until=lambda html: 'id="late"' in html)
    assert "Nobody looks for silent sessions" in html
    await peer.leave()


async def test_an_open_wall_counts_a_new_day_from_its_midnight_though_nothing_changes(settings, time_machine):
    settings.TIME_ZONE = "Pacific/Auckland"
    time_machine.move_to("2026-03-15T10:59:30Z", tick=False)
    user = await in_db(make_user)()
    await in_db(make_session)(user)
    peer = await page("board/", await sign_in(user)).open()
    await peer.frame()
    html = await peer.batches(until=counted_in)
    assert counted_in(html) == ("2026-03-15", "1")
    await hub().tick()
    assert await peer.is_silent(), "it is the same day"
    time_machine.shift(timedelta(seconds=30))
    await hub().tick()
    html = await peer.batches(until=counted_in)
    assert counted_in(html) == ("2026-03-16", "0")
    await hub().tick()
    assert await peer.is_silent(), "it was told"
    await peer.leave()


async def test_a_wall_that_comes_back_is_told_that_nobody_has_looked_since_it_was_made():
    made_at = timezone.now() - timedelta(minutes=5)
    await in_db(Lease.objects.take)(liveness.WATCHDOG, owner="me", seconds=30)
    await in_db(Lease.objects.touch)(liveness.WATCHDOG, now=made_at - timedelta(seconds=1))
    since = int(made_at.timestamp() * 1_000_000)
    peer = await page(f"board/?since={since}", await sign_in(await in_db(make_user)())).open()
    await peer.frame()
    await hub().tick()
    html = await peer.batches(until=lambda html: 'id="late"' in html)
    assert "Nobody looks for silent sessions" in html
    await peer.leave()
