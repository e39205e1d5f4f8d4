"""The socket of a session's page: HTML in batches, each acknowledged before the next."""

import asyncio
import json
import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from sessions import commands, compaction, retention
from sessions.live import feeds, frames
from sessions.live.consumers.socket import PATIENCE_SECONDS
from sessions.models import EventDraft, Session
from tests.factories import make_events, make_message, make_session, make_user
from tests.live.sockets import cursor_of, eventually, hub, in_db, messages_in, page, sign_in
from tests.purging import purge

pytestmark = pytest.mark.django_db(transaction=True)


async def open_page(session, user=None, *, after=0, query=""):
    cookie = await sign_in(user) if user else None
    peer = await page(f"sessions/{session.uuid}/?after={after}{query}", cookie).open()
    hello = await peer.frame()
    assert hello["type"] == "hello"
    return peer, hello


@in_db
def session_of_somebody(**facts):
    user = make_user()
    return make_session(user, **facts), user


async def test_hello_says_where_the_page_stands_and_the_batch_brings_what_it_misses():
    session, user = await session_of_somebody()
    first = await in_db(make_message)(session, content="before the page")
    second = await in_db(make_message)(session, content="after <b>the</b> page")
    peer, hello = await open_page(session, user, after=2)
    assert hello["seq"] == 2
    html = await peer.batch()
    assert messages_in(html) == [second]
    assert f"message-{first}" not in html
    assert "&lt;b&gt;the&lt;/b&gt;" in html
    assert 'hx-swap-oob="beforeend:#transcript"' in html
    assert 'id="verdict"' in html
    assert 'id="now"' in html
    assert cursor_of(html) == 3
    await peer.leave()


async def test_a_message_arrives_live():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    message = await in_db(make_message)(session, content="as it happens")
    assert messages_in(await peer.batch()) == [message]
    await peer.leave()


async def test_streamed_text_shows_in_the_present_before_it_is_a_message():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(make_events)(
        session,
        {"type": "turn_start", "turn_id": "t1"},
        {"type": "text_delta", "text": "Half a sen"},
        {"type": "text_delta", "text": "tence"},
    )
    html = await peer.batches(until=lambda html: "sentence" in html)
    assert "Half a sentence" in html
    assert re.search(r'id="now"[^>]*hx-swap-oob="morph"', html)
    await peer.leave()


async def test_a_call_in_an_older_message_is_rendered_again_when_its_result_comes():
    session, user = await session_of_somebody()
    call = {"id": "c1", "name": "Bash", "arguments": {"command": "ls"}}
    await in_db(make_message)(session, role="assistant", content=None, tool_calls=[call])
    peer, _ = await open_page(session, user, after=2)
    await in_db(make_message)(session, role="tool", tool_call_id="c1", content="a file")
    html = await peer.batch()
    assert messages_in(html) == [], "a result is shown inside its call"
    assert re.search(r'id="tool-\d+"[^>]*hx-swap-oob="morph"', html)
    await peer.leave()


@pytest.mark.parametrize("end", [{"type": "turn_end", "turn_id": "t1", "reason": {"kind": "cancelled"}}])
async def test_a_call_that_the_end_of_its_turn_aborts_is_rendered_again(end):
    session, user = await session_of_somebody()
    await in_db(make_events)(session, {"type": "turn_start", "turn_id": "t1"})
    call = {"id": "c1", "name": "Bash", "arguments": {"command": "sleep"}}
    await in_db(make_message)(session, role="assistant", content=None, tool_calls=[call])
    await in_db(session.refresh_from_db)()
    peer, _ = await open_page(session, user, after=session.last_seq)
    await in_db(make_events)(session, end)
    html = await peer.batch()
    assert "cut off" in re.search(r'<details class="tool".*?</details>', html, re.DOTALL)[0]
    await peer.leave()


async def test_a_compaction_brings_its_summary():
    session, user = await session_of_somebody()
    for number in range(3):
        await in_db(make_message)(session, content=f"message {number}")
    peer, _ = await open_page(session, user, after=4)
    await in_db(compaction.compact)(session.pk, summary="It was long.", preserve_count=1, by="test")
    html = await peer.batch()
    assert len(messages_in(html)) == 2
    assert "It was long." in html
    await peer.leave()


async def test_the_events_tab_gets_the_rows_of_the_log():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1, query="&events=1")
    await in_db(make_events)(session, {"type": "info", "message": "first"}, {"type": "warn", "message": "second"})
    html = await peer.batch()
    assert re.findall(r'id="event-(\d+)"', html) == ["2", "3"]
    assert '<ol hx-swap-oob="beforeend:#events">' in html
    assert messages_in(html) == []
    await peer.leave()


async def test_the_next_batch_comes_only_after_the_ack():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(make_message)(session, content="one")
    first = await peer.raw()
    for number in range(20):
        await in_db(make_message)(session, content=f"more {number}")
    assert await peer.is_silent()
    await peer.ack(cursor_of(first))
    html = await peer.batches(until=lambda html: "more 19" in html)
    assert len(messages_in(html)) == 20
    await peer.leave()


async def test_many_and_large_messages_come_in_batches_under_the_limit_each_once_in_order():
    session, user = await session_of_somebody()
    words = "word " * 3_000
    ids = []
    for _ in range(4):
        ids += [await in_db(make_message)(session, content=words) for _ in range(10)]
    peer, _ = await open_page(session, user)
    got: list[int] = []
    while len(got) < len(ids):
        html = await peer.batch()
        assert len(html.encode()) < 2 * frames.LIMIT_BYTES
        got += messages_in(html)
    assert got == ids
    await peer.leave()


async def test_one_event_that_brings_more_than_a_batch_is_cut_and_goes_on_at_the_right_message():
    from sessions import transcripts

    session, user = await session_of_somebody()
    drafts = [transcripts.MessageDraft(role="user", content=f"{number} " * 4_000) for number in range(60)]
    ids = (await in_db(transcripts.append)(session.pk, drafts)).ids
    peer, _ = await open_page(session, user, after=1)
    got, cursors = [], []
    while len(got) < len(ids):
        html = await peer.batch()
        got += messages_in(html)
        cursors.append(cursor_of(html))
    assert got == ids
    assert len(cursors) > 2
    assert set(cursors[:-1]) == {1}, "until the event is whole, a page that comes back has to begin before it"
    assert cursors[-1] >= 2
    await peer.leave()


async def test_a_message_of_two_megabytes_arrives_within_the_limit():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    message = await in_db(make_message)(session, content="<&> " * 500_000)
    html = await peer.batch()
    assert messages_in(html) == [message]
    assert len(html.encode()) < frames.LIMIT_BYTES
    await peer.leave()


async def test_more_events_than_a_batch_covers_end_with_the_present():
    session, user = await session_of_somebody()
    events = [{"type": "info", "n": n} for n in range(feeds.EVENTS)]
    await in_db(make_events)(session, *events)
    peer, _ = await open_page(session, user, after=1)
    html = await peer.batches(until=lambda html: 'id="verdict"' in html)
    assert cursor_of(html) == feeds.EVENTS + 1
    await peer.leave()


async def test_a_page_that_does_not_acknowledge_is_closed_with_4408_and_holds_one_batch():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(make_message)(session, content="never read")
    await peer.raw()
    for number in range(5):
        await in_db(make_message)(session, content=f"unsent {number}")
    await hub().tick()
    assert await peer.is_silent()
    began = hub().clock()
    hub().clock = lambda: began + PATIENCE_SECONDS + 1
    await hub().tick()
    assert await peer.close_code() == 4408


async def test_patience_is_not_lost_by_a_page_that_has_nothing_to_acknowledge():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    began = hub().clock()
    hub().clock = lambda: began + 10 * PATIENCE_SECONDS
    await hub().tick()
    message = await in_db(make_message)(session)
    assert messages_in(await peer.batch()) == [message]
    await peer.leave()


@pytest.mark.parametrize("said", ["no JSON", "[]", "{}", '{"ack": "x"}', json.dumps({"ack": "1" * 2_000}), '"ack"'])
async def test_a_page_may_say_nothing_but_acks(said):
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await peer.say(said)
    assert await peer.close_code() == 4400


async def test_anybody_may_follow_a_public_session_by_its_link_and_sees_when_it_is_closed_to_them():
    session, _ = await session_of_somebody()
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    peer, _ = await open_page(session, after=2)
    message = await in_db(make_message)(session)
    assert messages_in(await peer.batch()) == [message]
    await in_db(session.edit)(by="test", visibility="PRIVATE")
    assert await peer.close_code() == 4403


async def test_nothing_written_after_the_session_became_private_reaches_others():
    session, _ = await session_of_somebody()
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    stranger = await in_db(make_user)()
    peer, _ = await open_page(session, stranger, after=2)
    await in_db(session.edit)(by="test", visibility="PRIVATE")
    await in_db(make_message)(session, content="a secret")
    message = await peer.receive()
    assert message == {"type": "websocket.close", "code": 4403}


async def test_visibility_withdrawn_without_a_hint_is_found_by_the_beat():
    from sessions.models import Session

    session, _ = await session_of_somebody()
    await in_db(session.edit)(by="test", visibility="PUBLIC")
    stranger = await in_db(make_user)()
    peer, _ = await open_page(session, stranger, after=2)
    await in_db(Session.objects.filter(pk=session.pk).update)(visibility="PRIVATE")
    await hub().tick()
    assert await peer.close_code() == 4403


@pytest.mark.parametrize(("is_signed_in", "code"), [(True, 4404), (False, 4401)])
async def test_a_private_session_is_not_there_for_others(is_signed_in, code):
    session, _ = await session_of_somebody()
    cookie = await sign_in(await in_db(make_user)()) if is_signed_in else None
    peer = await page(f"sessions/{session.uuid}/?after=0", cookie).open()
    assert await peer.close_code() == code


async def test_staff_sees_everything():
    session, _ = await session_of_somebody()
    staff = await in_db(make_user)(is_staff=True)
    message = await in_db(make_message)(session)
    peer, _ = await open_page(session, staff, after=1)
    assert messages_in(await peer.batch()) == [message]
    await peer.leave()


async def test_who_has_signed_out_is_closed_with_4401_within_a_beat():
    from django.contrib.sessions.models import Session as Cookie

    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(Cookie.objects.all().delete)()
    await hub().tick()
    assert await peer.close_code() == 4401


async def test_a_user_who_may_no_longer_sign_in_is_closed_with_4401_within_a_beat():
    from django.contrib.auth.models import User

    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(User.objects.filter(pk=user.pk).update)(is_active=False)
    await hub().tick()
    assert await peer.close_code() == 4401


async def test_who_may_still_watch_stays_after_a_beat():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await hub().tick()
    message = await in_db(make_message)(session)
    assert messages_in(await peer.batch()) == [message]
    await peer.leave()


async def test_a_person_has_fifty_sockets_and_gets_a_place_back_when_one_ends(monkeypatch):
    monkeypatch.setattr("sessions.live.consumers.pages.PageSocket.limit", 2)
    session, user = await session_of_somebody()
    cookie = await sign_in(user)
    place = f"sessions/{session.uuid}/?after=1"
    peers = [await page(place, cookie).open() for _ in range(2)]
    for peer in peers:
        await peer.frame()
    one_too_many = await page(place, cookie).open()
    assert await one_too_many.close_code() == 4429
    await peers[0].leave()
    await eventually(lambda: len(hub()._watchers) == 1)
    peer = await page(place, cookie).open()
    assert (await peer.frame())["type"] == "hello"
    await asyncio.gather(peer.leave(), peers[1].leave())


async def test_a_request_that_waits_shows_in_the_present():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(make_events)(
        session,
        {"type": "turn_start", "turn_id": "t1"},
        {"type": "approval_request", "id": "r1", "tool_name": "Bash", "detail": "rm -r dist"},
    )
    html = await peer.batches(until=lambda html: "rm -r dist" in html)
    assert 'data-state="needs"' in html
    answer = {"type": "approval_response", "id": "r1", "decision": {"decision": "approve"}}
    await in_db(commands.ask)(session.pk, answer, by=user)
    html = await peer.batch()
    assert "rm -r dist" not in re.search(r'<section class="present".*?</section>', html, re.DOTALL)[0]
    await peer.leave()


async def test_messages_that_are_purged_leave_the_page_by_their_stretches():
    session, user = await session_of_somebody()
    first = await in_db(make_message)(session, content="one")
    kept = await in_db(make_message)(session, content="two")
    last = await in_db(make_message)(session, content="three")
    peer, _ = await open_page(session, user, after=4)
    await in_db(retention.drop_rows)(session.pk, message_ids=[last, first], by="test")
    html = await peer.batch()
    assert f'<i data-purged="message" data-spans="{first}-{first} {last}-{last}"></i>' in html
    assert str(kept) not in re.findall(r"[0-9]+", re.search(r'data-spans="([^"]*)"', html)[1])
    await peer.leave()


async def test_a_purge_of_a_hundred_thousand_messages_is_one_small_part():
    session, user = await session_of_somebody()
    peer, _ = await open_page(session, user, after=1)
    await in_db(record)(session, "server.messages_purged", count=100_000, ranges=[[1, 250_000]])
    assert 'data-spans="1-250000"' in await peer.batch()
    await peer.leave()


async def test_events_that_are_purged_leave_the_log():
    session, user = await session_of_somebody()
    await in_db(make_events)(session, {"type": "text_delta", "text": "old"})
    peer, _ = await open_page(session, user, after=2, query="&events=1")
    await in_db(purge)("events", 0, now=timezone.now() + timedelta(days=1))
    html = await peer.batch()
    assert '<i data-purged="event" data-spans="0-2"></i>' in html
    await peer.leave()


def record(session, kind, **payload):
    with transaction.atomic():
        locked = Session.objects.locked(session.pk)
        locked.record([EventDraft(type=kind, payload=payload)], now=timezone.now())


@pytest.mark.parametrize(
    ("feed", "told"),
    [(feeds.TranscriptFeed(can_change=True), 'data-title="Between"'), (feeds.LogFeed(can_change=True), "turn_start")],
)
def test_what_changes_while_a_batch_is_read_is_shown_by_it_or_by_the_next(feed, told):
    session = make_session(title="Before")
    record(session, "info")
    before_each = iter([None, lambda: session.edit(by="user:1", title="Between", visibility="PUBLIC")])

    def change_before_the_second(execute, *statement):
        if change := next(before_each, None):
            change()
            make_events(session, {"type": "turn_start", "turn_id": "t"})
        return execute(*statement)

    with connection.execute_wrapper(change_before_the_second):
        first = feed.read(session.pk, feeds.Place(1))
    assert first.place.seq == 2, "the change came after the events were read"
    shown = "".join(first.texts + feed.read(session.pk, first.place).texts)
    assert "Before" not in shown
    assert told in shown
    assert 'id="verdict" data-state="live"' in shown
