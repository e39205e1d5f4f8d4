"""The socket of the inbox: requests as they come and as they are settled."""

import re

import pytest
from django.utils import timezone

from sessions import commands
from sessions.models import Request
from tests.factories import make_events, make_session, make_user
from tests.live.sockets import in_db, page, settle, sign_in

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
