"""How often a caller may come. Counted by the minute in the cache: exact in one process, shared through Redis."""

import logging
import math
import time

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from sessions.exceptions import RateLimited

BAD_KEYS_A_MINUTE = 60
"""Keys that nobody knows, from one address in one minute. A good key from that address is not their victim."""
_WINDOW_SECONDS = 60

logger = logging.getLogger(__name__)


def spend(who: str, *, per_minute: int | None) -> None:
    """Count one request of `who`. Raises `RateLimited` beyond `per_minute`; None is no limit."""
    if per_minute is None:
        return
    window, elapsed = divmod(time.time(), _WINDOW_SECONDS)
    name = f"rate.{who}.{int(window)}"
    try:
        cache.add(name, 0, timeout=2 * _WINDOW_SECONDS)
        count = cache.incr(name)
    except (RedisError, ValueError):  # gone, or it forgot the name in between
        logger.warning("Requests are not counted: the cache does not answer", exc_info=True)
        return
    if count > per_minute:
        wait = math.ceil(_WINDOW_SECONDS - elapsed)
        raise RateLimited(f"More than {per_minute:,} requests in a minute.", retry_after_seconds=wait)


def address_of(request: HttpRequest) -> str:
    """Return the caller's address; of what proxies add, only what our own proxies added is believed."""
    proxies: int = settings.KODA_PROXY_COUNT
    direct: str = request.META.get("REMOTE_ADDR") or "unknown"
    if not proxies:
        return direct
    path = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    return path[-min(proxies, len(path))] if path else direct
