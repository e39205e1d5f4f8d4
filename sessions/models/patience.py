"""How long who asks the database waits for others, where an older answer is better than a late one."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Wait for locks that others hold no longer than this inside; then `OperationalError` is raised, as ever.

    By itself a connection waits for `koda_web.sqlite.BUSY_SECONDS`.
    """
    milliseconds = round(seconds * 1000)
    if connection.vendor == "sqlite":
        ask, give = "PRAGMA busy_timeout", "PRAGMA busy_timeout = {}"
    else:
        ask, give = "SHOW lock_timeout", "SET lock_timeout = '{}'"
    with connection.cursor() as cursor:
        cursor.execute(ask)
        (before,) = cursor.fetchone()
        cursor.execute(give.format(milliseconds))
        try:
            yield
        finally:
            cursor.execute(give.format(before))
