"""Threads that keep their connection to SQLite.

To open one and to prepare its statements anew costs more than most of what a request asks: the schema has to be read,
and each statement worked out. PostgreSQL's come from a pool, and go back to it.
"""

from django.db import connection

READER_CACHE_KIB = 2_000
"""Of the file that a thread keeps in memory, which it never gives back; a session and its messages fit."""


def keep_connection(*, cache_kib: int | None = READER_CACHE_KIB) -> None:
    """Let this thread keep its connection from now on, if it is one to SQLite.

    `cache_kib` is what it holds of the file; None is what all other connections have.
    """
    if connection.vendor == "sqlite":
        connection.keep(cache_kib=cache_kib)  # type: ignore[attr-defined] # koda_web.engines.sqlite3
