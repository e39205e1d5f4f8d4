"""Webhooks: hands alarms to the outbox and sends what is due in it. A job of the keeper, on a thread of its own.

A call is a POST of a small JSON object, signed as the Standard Webhooks specification says; docs/alerts.md tells
receivers what to expect. Any number of servers may do this at once: each delivery is claimed before it is sent.
"""

import asyncio
import functools
import json
import logging
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import Any

import httpx
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from sessions import alerts
from sessions.live.addressing import Unreachable, resolve
from sessions.models import Delivery

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5
"""For all of one call: name, connection, TLS and the status line."""


Call = tuple[Delivery, dict[str, Any]]
"""A claimed delivery, and the object that is sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: a status, or in words why there was none."""

    status: int | None
    failure: str = ""

    @property
    def is_good(self) -> bool:
        """Say whether the receiver took it."""
        return self.status is not None and httpx.codes.is_success(self.status)

    def __str__(self) -> str:
        """Return why it failed."""
        if self.status is None:
            return self.failure
        hint = ", and redirects are not followed" if httpx.codes.is_redirect(self.status) else ""
        return f"the receiver answered {self.status}{hint}"


Tell = Callable[[tuple[Delivery, Answer]], None]
"""Takes what came of one call."""


def run(*, now: datetime | None = None) -> int:
    """Do one round; return how many calls were made."""
    alerts.spread(now=now)
    claimed = alerts.take(now=now)
    if not claimed:
        return 0
    calls = [(delivery, payload_of(delivery)) for delivery in claimed]
    answers: SimpleQueue[tuple[Delivery, Answer] | None] = SimpleQueue()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhook-calls") as thread:
        sending = thread.submit(asyncio.run, _send_all(calls, now=now, tell=answers.put))
        sending.add_done_callback(lambda _: answers.put(None))
        for delivery, answer in iter(answers.get, None):  # each as it comes, or a kill would have all told again
            _note(delivery, answer, at=now or timezone.now())
        sending.result()
    return len(claimed)


def _note(delivery: Delivery, answer: Answer, *, at: datetime) -> None:
    if answer.is_good and answer.status is not None:
        delivery.note_told(answer.status, now=at)
    else:
        logger.info("Webhook %s: attempt %d failed: %s", delivery.webhook_id, delivery.attempts, answer)
        delivery.note_failure(str(answer), status=answer.status, now=at)


async def _send_all(calls: Sequence[Call], *, now: datetime | None, tell: Tell) -> None:
    """Send all at once, none after another, and tell of each answer: those that hang would hold up the rest.

    Over a bare transport, which knows no proxy of the environment (it would connect where nobody has looked) and
    reads nothing into an answer, be it a cookie or where else to go.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncHTTPTransport(trust_env=False, verify=_trust(), limits=limits) as transport:

        async def send(call: Call) -> None:
            tell((call[0], await _send(transport, call, now=now)))

        await asyncio.gather(*map(send, calls))


async def _send(transport: httpx.AsyncHTTPTransport, call: Call, *, now: datetime | None) -> Answer:
    """Make one call; whatever goes wrong is an answer."""
    until = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
    try:
        async with asyncio.timeout_at(until):
            return Answer(await _call(transport, call, at=now or timezone.now(), until=until))
    except TimeoutError:
        return Answer(None, f"no answer within {TIMEOUT_SECONDS} seconds")
    except Unreachable as error:
        return Answer(None, str(error))
    except httpx.RemoteProtocolError:  # its text may quote what a private service says
        return Answer(None, "the call failed: nothing came that is an answer of HTTP")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(None, f"the call failed: {error}" if str(error) else f"the call failed: {type(error).__name__}")


async def _call(transport: httpx.AsyncHTTPTransport, call: Call, *, at: datetime, until: float) -> int:
    """Return the status; of the answer nothing else is read. Name, Host and certificate stay those of the URL.

    Of several addresses each but the last has its share of the time in which to take the connection.
    """
    delivery, told = call
    url = httpx.URL(delivery.webhook.url)
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {**_headers_of(delivery, body, timestamp=int(at.timestamp())), "Host": url.netloc.decode()}
    addresses = await resolve(url)
    for others, address in zip(reversed(range(len(addresses))), addresses, strict=True):
        left = until - asyncio.get_running_loop().time()
        share = left / (others + 1) if others else None
        extensions = {"sni_hostname": url.raw_host.decode(), "timeout": {"connect": share}}
        target = url.copy_with(host=str(address))
        request = httpx.Request("POST", target, content=body, headers=headers, extensions=extensions)
        try:
            answer = await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if not others:
                raise
            continue
        await answer.aclose()
        return answer.status_code
    raise Unreachable(f"{url.host} has no address")


def payload_of(delivery: Delivery) -> dict[str, Any]:
    """Return the object that is sent: what is told, with links where the server knows its own address."""
    told = {"id": str(delivery.uuid), "kind": delivery.kind, **alerts.told_of(delivery)}
    if "session" in told:
        told["url"] = _url_of(told["session"])
    if "sessions" in told:
        told["sessions"] = [{**one, "url": _url_of(one["session"])} for one in told["sessions"]]
    return told


def _url_of(session_uuid: str) -> str | None:
    base: str | None = settings.KODA_PUBLIC_URL
    return f"{base}{reverse('web:session', args=[session_uuid])}" if base else None


def _headers_of(delivery: Delivery, body: bytes, *, timestamp: int) -> dict[str, str]:
    message_id = str(delivery.uuid)
    return {
        "Content-Type": "application/json",
        "User-Agent": f"KodaWeb/{settings.KODA_VERSION}",
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": delivery.webhook.sign(message_id, timestamp=timestamp, body=body),
    }


@functools.cache
def _trust() -> ssl.SSLContext:
    """Return whom we believe: the authorities that this machine knows, and the usual ones."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
