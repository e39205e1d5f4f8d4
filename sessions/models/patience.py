"""How long who asks the database waits for others, where an older answer is better than a late one."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Wait for locks that others hold no longer than this inside; then `OperationalError` is raised, as ever.

    By itself a connection waits for `koda_web.sqlite.BUSY_SECONDS`.
    """
    if connection.vendor == "sqlite":
        with connection.patience(seconds):  # type: ignore[attr-defined] # koda_web.engines.sqlite3
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (before,) = cursor.fetchone()
        cursor.execute(f"SET lock_timeout = '{round(seconds * 1000)}ms'")
        try:
            yield
        finally:
            cursor.execute(f"SET lock_timeout = '{before}'")
