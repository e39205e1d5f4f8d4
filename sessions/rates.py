"""How often a caller may come, whatever the door.

Counted by the minute in the cache: exact in one process, shared through Redis.
"""

import contextlib
import hashlib
import ipaddress
import logging
import math
import time
import unicodedata
from importlib import import_module

from django.conf import settings
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache

from sessions.exceptions import RateLimited
from sessions.respite import Respite

BAD_KEYS_A_MINUTE = 60
"""Keys that nobody knows, from one address in one minute. A good key from that address is not their victim."""
SIGN_INS_A_MINUTE = 30
"""Failed attempts to sign in from one address in one minute."""
SIGN_INS_OF_ONE_A_MINUTE = 6
"""Failed attempts to sign in as one person from one address in one minute; who tries elsewhere bars nobody here."""
_WINDOW_SECONDS = 60
_NETWORK_BITS = 64
"""Of an address of IPv6: the rest of it whoever has the network chooses as they like, each time another."""
_LONGEST_NAME = 150
"""Characters of a user's name (Django's own limit)."""

logger = logging.getLogger(__name__)

_respite = Respite(seconds=10)
"""Of the cache."""


def count_call(who: str) -> None:
    """Count one request, or one frame, of `who`. Raises `RateLimited` beyond KODA_RATE_LIMIT."""
    _spend(who, per_minute=settings.KODA_RATE_LIMIT)


def count_bad_key(direct: str | None, forwarded: str) -> None:
    """Count a key that nobody knows, for the address that it came from. Raises `RateLimited`.

    `direct` is the address of the connection, `forwarded` the header X-Forwarded-For: of what proxies add, only what
    our own proxies added is believed.
    """
    _spend(f"bad.{origin_of(direct, forwarded)}", per_minute=BAD_KEYS_A_MINUTE, counts=caches["failures"])


def count_sign_in(username: str, direct: str | None, forwarded: str) -> None:
    """Count an attempt to sign in, for its address and for its name from there. Raises `RateLimited`."""
    for who, per_minute in _attempts(username, origin_of(direct, forwarded)).items():
        _spend(who, per_minute=per_minute, counts=caches["failures"])


def forgive_sign_in(username: str, direct: str | None, forwarded: str) -> None:
    """Take back an attempt that succeeded: only failures count."""
    window = int(time.time() // _WINDOW_SECONDS)
    for who in _attempts(username, origin_of(direct, forwarded)):
        with contextlib.suppress(*or_redis(ValueError)):
            caches["failures"].decr(f"rate.{who}.{window}")


def or_redis(*errors: type[Exception]) -> tuple[type[Exception], ...]:
    """Return these errors and what a Redis raises that does not answer.

    Where none is named its client is not loaded: it would take ten megabytes.
    """
    return errors if settings.KODA_REDIS_URL is None else (*errors, import_module("redis.exceptions").RedisError)


def _attempts(username: str, address: str) -> dict[str, int]:
    """Return under which names an attempt to sign in is counted, and how many a minute each has."""
    # As the form reads it, so that one name has not several spellings.
    meant = unicodedata.normalize("NFKC", username[:_LONGEST_NAME]).strip().casefold()
    # A digest: a name may hold what a cache's key may not, or be a password typed into the wrong field.
    name = hashlib.sha256(meant.encode(errors="replace")).hexdigest()[:16]
    return {f"sign-in.{address}": SIGN_INS_A_MINUTE, f"sign-in.{address}.{name}": SIGN_INS_OF_ONE_A_MINUTE}


def address_of(direct: str | None, forwarded: str) -> str:
    """Return whence a request came, by the connection and by what our own proxies added to X-Forwarded-For."""
    proxies: int = settings.KODA_PROXY_COUNT
    path = [part.strip() for part in forwarded.split(",") if part.strip()]
    return path[-min(proxies, len(path))] if proxies and path else direct or "unknown"


def origin_of(direct: str | None, forwarded: str) -> str:
    """Return by what a caller without a name is counted: their address, of IPv6 their network."""
    told = address_of(direct, forwarded)
    try:
        address = ipaddress.ip_address(told.partition("%")[0])
    except ValueError:
        return told
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))


def _spend(who: str, *, per_minute: int | None, counts: BaseCache = cache) -> None:
    """Count one call of `who`. Raises `RateLimited` beyond `per_minute`; None is no limit."""
    if per_minute is None or _respite.is_on:
        return
    window, elapsed = divmod(time.time(), _WINDOW_SECONDS)
    name = f"rate.{who}.{int(window)}"
    try:
        count = _one_more(name, counts)
    except or_redis(ValueError) as error:  # gone, or it forgot the name in between
        if not isinstance(error, ValueError):
            _respite.begin()
        logger.warning("Requests are not counted: the cache does not answer", exc_info=True)
        return
    if count > per_minute:
        wait = math.ceil(_WINDOW_SECONDS - elapsed)
        raise RateLimited(f"More than {per_minute:,} requests in a minute.", retry_after_seconds=wait)


def _one_more(name: str, counts: BaseCache) -> int:
    """Count one more under this name and return how many there are now. Raises `ValueError` when it is not kept."""
    try:
        return counts.incr(name)
    except ValueError:  # the first of its minute
        counts.add(name, 0, timeout=2 * _WINDOW_SECONDS)
        return counts.incr(name)
