"""Where a webhook's name leads: resolved once, refused when it leads into a private network, then called there."""

import asyncio
import socket
import threading
from concurrent.futures import Future

import httpx
from django.conf import settings

from sessions.models.addresses import Address, is_public, read_address

NAMES_AT_ONCE = 100
"""Names that are looked up at the same time, those included for which nobody waits any more."""

Place = tuple[str, int]
"""A name and a port."""


class Unreachable(Exception):
    """The address may not be called, or leads nowhere; the text says which."""


async def resolve(url: httpx.URL) -> list[Address]:
    """Return the addresses that `url` leads to, in the order in which to try them. Raises `Unreachable`.

    One forbidden address among them forbids all: who names such a pair hopes that we look at one and call the other.
    """
    host, port = url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.wrap_future(_look_ups.of((host, port)))
    except (OSError, UnicodeError):
        raise Unreachable(f"{url.host} cannot be resolved") from None
    addresses = [address for address in map(read_address, found) if address is not None]
    if not settings.KODA_WEBHOOK_PRIVATE and not all(map(is_public, addresses)):
        raise Unreachable(f"{url.host} leads to a private address")
    return addresses


class _LookUps:
    """Those under way, each on a thread of its own and one a name.

    So a name that hangs holds up no other, however often it is called, nor a server that stops.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Place, Future[list[str]]] = {}

    def of(self, place: Place) -> Future[list[str]]:
        """Return the look-up of a name that is under way, begun now if there is none. Raises `Unreachable`."""
        with self._lock:
            if (running := self._running.get(place)) is not None:
                return running
            if len(self._running) >= NAMES_AT_ONCE:
                raise Unreachable(f"{place[0]} cannot be resolved: too many names are being looked up")
            begun: Future[list[str]] = Future()
            begun.set_running_or_notify_cancel()  # who waits no more does not end it for the others
            threading.Thread(target=self._run, args=(place, begun), name="resolve", daemon=True).start()
            self._running[place] = begun
            return begun

    def _run(self, place: Place, begun: Future[list[str]]) -> None:
        try:
            begun.set_result(_look_up(*place))
        except Exception as error:  # noqa: BLE001 - it is for those who wait
            begun.set_exception(error)
        finally:
            with self._lock:
                del self._running[place]


_look_ups = _LookUps()


def _look_up(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))
