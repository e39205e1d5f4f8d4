"""Where a webhook's name leads: resolved once, refused when it leads into a private network, then called there."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
from django.conf import settings

from sessions.models.addresses import Address, is_public, read_address

_resolvers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")
"""Our own, not the loop's: a resolver that hangs then holds up nobody who waits for the loop to close."""


class Unreachable(Exception):
    """The address may not be called, or leads nowhere; the text says which."""


async def resolve(url: httpx.URL) -> list[Address]:
    """Return the addresses that `url` leads to, in the order in which to try them. Raises `Unreachable`.

    One forbidden address among them forbids all: who names such a pair hopes that we look at one and call the other.
    """
    host, port = url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80)
    look_up = asyncio.get_running_loop().run_in_executor(_resolvers, _look_up, host, port)
    try:
        found = await look_up
    except (OSError, UnicodeError):
        raise Unreachable(f"{url.host} cannot be resolved") from None
    addresses = [address for address in map(read_address, found) if address is not None]
    if not settings.KODA_WEBHOOK_PRIVATE and not all(map(is_public, addresses)):
        raise Unreachable(f"{url.host} leads to a private address")
    return addresses


def _look_up(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))
