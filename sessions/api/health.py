"""`/healthz`: whether the server can do its work, for those who restart and route.

200 or 503, without a key: it names the parts and says how they are, nothing of what they hold.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from sessions import liveness
from sessions.api.json_format import format_time
from sessions.rates import or_redis
from sessions.wire import dump

REDIS_SECONDS = 2.0

logger = logging.getLogger(__name__)


@csrf_exempt  # What is sent here is refused by its method; no cookie counts.
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when every part that requests need is there, else 503."""
    checks: dict[str, dict[str, Any]] = {}
    for name, (check, needed) in _CHECKS.items():
        checks[name] = _checked(name, check) if needed is None or checks[needed]["ok"] else {"ok": False}
    is_well = all(check["ok"] for check in checks.values())
    body = {
        "status": "ok" if is_well else "unavailable",
        "version": settings.KODA_VERSION,
        "checks": checks,
        "watchdog": _watchdog() if checks["database"]["ok"] else None,
    }
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"Cache-Control": "no-store"} if is_well else {"Cache-Control": "no-store", "Retry-After": "1"}
    return HttpResponse(dump(body), status=status, content_type="application/json", headers=headers)


def _checked(name: str, check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a check found; why it failed is for the log, not for everybody."""
    try:
        return check()
    except or_redis(Error):
        logger.exception("Health: %s does not answer", name)
        return {"ok": False}


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"ok": True, "kind": connection.vendor}


def _migrations() -> dict[str, Any]:
    executor = MigrationExecutor(connection)
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    return {"ok": pending == 0, "pending": pending}


def _channel_layer() -> dict[str, Any]:
    """Hints travel within the process, or through Redis when one is named."""
    if settings.KODA_REDIS_URL is None:
        return {"ok": True, "kind": "memory"}
    with import_module("redis").Redis.from_url(
        settings.KODA_REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    ) as redis:
        redis.ping()
    return {"ok": True, "kind": "redis"}


_CHECKS: dict[str, tuple[Callable[[], dict[str, Any]], str | None]] = {
    "database": (_database, None),
    "migrations": (_migrations, "database"),
    "channel_layer": (_channel_layer, None),
}
"""Each part with the one without which it is not asked: a database that is away is waited for once, not twice."""


def _watchdog() -> dict[str, Any] | None:
    """Return when the watchdog last looked, or None when that is not known.

    It looks every second. Late is said, and is no reason to take the server out: what it shows is true without.
    """
    try:
        watch = liveness.last_watch(now := timezone.now())
    except Error:
        return None
    return {
        "last_run_at": None if watch.ran_at is None else format_time(watch.ran_at),
        "age_secs": None if watch.ran_at is None else (now - watch.ran_at).total_seconds(),
        "is_late": watch.is_late,
    }
