"""The socket of the inbox: requests as they come and as they are settled."""

import re
from threading import Event as Signal

import pytest
from django.utils import timezone

from sessions import commands
from sessions.live import board, frames
from sessions.live.consumers import inbox
from sessions.models import Request
from tests.factories import make_events, make_session, make_user
from tests.live.sockets import eventually, hub, in_db, page, settle, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
START = {"type": "turn_start", "turn_id": "t"}
ASKS = {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "rm <dist>"}
YES = {"type": "approval_response", "id": "q", "decision": {"decision": "approve"}}


async def open_inbox(user):
    peer = await page(f"inbox/?since={int(timezone.now().timestamp() * 1_000_000)}", await sign_in(user)).open()
    assert (await peer.frame())["type"] == "hello"
    return peer


def card_in(html):
    return re.search(r'<section class="ask listed" id="ask-(\d+)" data-state="(\w+)"', html)


def count_in(html):
    """Return the count that came last: the first may be from before anybody asked."""
    return re.findall(r'id="inbox-count"[^>]*data-count="(\d+)"', html)[-1:]


async def test_a_request_comes_and_is_settled_step_by_step():
    user = await in_db(make_user)("anna")
    session = await in_db(make_session)(user)
    peer = await open_inbox(user)
    await in_db(make_events)(session, START, ASKS)
    html = await peer.batches(until=card_in)
    assert card_in(html)[2] == "needs"
    assert "rm &lt;dist&gt;" in html
    await in_db(commands.ask)(session.pk, YES, by=user)
    assert "Approved by anna, not fetched yet" in await peer.batches(until=lambda text: "by anna" in text)
    (command,) = await in_db(commands.take)(session.pk)
    assert "delivered" in await peer.batches(until=lambda text: "delivered" in text)
    await in_db(commands.acknowledge)(command.pk, is_obeyed=True)
    assert "obeyed" in await peer.batches(until=lambda text: "obeyed" in text)
    await peer.leave()


async def test_the_menus_count_comes_with_the_counters():
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    peer = await open_inbox(user)
    await in_db(make_events)(session, START, ASKS)
    html = await peer.batches(until=lambda text: count_in(text) == ["1"])
    assert 'data-state="needs"' in html
    await peer.leave()


async def test_counters_that_took_long_to_read_are_read_again_after_what_changed_meanwhile(monkeypatch):
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    render, has_read, may_end = board._render_counters, Signal(), Signal()

    def render_slowly(caller):
        html = render(caller)
        if not has_read.is_set():
            has_read.set()
            may_end.wait(20)
        return html

    monkeypatch.setattr(board, "_render_counters", render_slowly)
    monkeypatch.setattr(board, "COUNTS_SECONDS", 0.01)  # what was read is old by the time it comes
    peer = await open_inbox(user)
    await eventually(has_read.is_set)
    await in_db(make_events)(session, START, ASKS)
    (watcher,) = hub().board.watchers
    await eventually(lambda: session.pk in watcher._changed)
    may_end.set()
    await peer.batches(until=lambda text: count_in(text) == ["1"])
    await peer.leave()


async def test_a_session_that_only_works_on_sends_no_card():
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    peer = await open_inbox(user)
    await in_db(make_events)(session, START, ASKS)
    assert card_in(await peer.batches(until=card_in))
    await in_db(make_events)(session, {"type": "info"})
    await settle()
    texts = [(await peer.receive()).get("text", "close") for _ in range(peer.wire.output_queue.qsize())]
    assert not any(card_in(text) or text == "close" for text in texts)
    await peer.leave()


async def test_requests_of_others_never_come():
    user = await in_db(make_user)()
    private, public = [await in_db(make_session)() for _ in range(2)]
    await in_db(public.edit)(by="test", visibility="PUBLIC")
    peer = await open_inbox(user)
    for session in (private, public):
        await in_db(make_events)(session, START, ASKS)
    asked = await Request.objects.aget(session=public)
    html = await peer.batches(until=card_in)
    assert int(card_in(html)[1]) == asked.pk
    assert "<form" not in html
    await peer.leave()


def cards_in(html):
    return [int(pk) for pk in re.findall(r'<section class="ask listed" id="ask-(\d+)"', html)]


async def test_the_cards_of_what_was_hidden_or_destroyed_meanwhile_are_taken_away():
    user = await in_db(make_user)()
    removed, destroyed, hidden, strange, kept = [
        await in_db(make_session)(owner) for owner in (user, user, None, None, user)
    ]
    await in_db(hidden.edit)(by="test", visibility="PUBLIC")
    for session in (removed, destroyed, hidden, strange, kept):
        await in_db(make_events)(session, START, ASKS)
    rendered = int(timezone.now().timestamp() * 1_000_000)
    gone = sorted(session.pk for session in (removed, destroyed, hidden))
    await in_db(removed.remove)(by="test")
    await in_db(destroyed.destroy)()
    await in_db(hidden.edit)(by="test", visibility="PRIVATE")
    await in_db(strange.edit)(by="test", title="not of your business")
    peer = await page(f"inbox/?since={rendered}", await sign_in(user)).open()
    await peer.frame()

    def removed_in(html):
        return sorted({int(pk) for pk in re.findall(r'id="session-(\d+)" hx-swap-oob="delete"', html)})

    html = await peer.batches(until=lambda html: len(removed_in(html)) == 3 and card_in(html))
    assert removed_in(html) == gone
    asked = await Request.objects.aget(session=kept)
    assert cards_in(html) == [asked.pk]
    await settle()
    await peer.leave()


@pytest.mark.parametrize("bound", ["cards", "bytes"])
async def test_of_very_many_requests_all_come_the_oldest_first(bound, monkeypatch):
    monkeypatch.setattr(*((inbox, "CARDS", 4) if bound == "cards" else (frames, "LIMIT_BYTES", 5_000)))
    user = await in_db(make_user)()
    rendered = int(timezone.now().timestamp() * 1_000_000)
    for _ in range(3):
        session = await in_db(make_session)(user)
        await in_db(make_events)(session, START, *[{**ASKS, "id": f"q{number}"} for number in range(5)])
    asked = [pk async for pk in Request.objects.order_by("opened_at", "id").values_list("pk", flat=True)]
    peer = await page(f"inbox/?since={rendered}", await sign_in(user)).open()
    await peer.frame()
    html = await peer.batches(until=lambda html: len(set(cards_in(html))) == 15)
    assert cards_in(html) == asked
    await settle()
    await peer.leave()
