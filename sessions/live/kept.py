"""Threads that keep their connection to SQLite.

To open one and to prepare its statements anew costs more than most of what a request asks: the schema has to be read,
and each statement worked out. PostgreSQL's come from a pool, and go back to it.
"""

from django.db import connection

READER_CACHE_KIB = 2_000
"""Of the file that a thread keeps in memory, which it never gives back; a session and its messages fit."""


PAGE_STATEMENTS = 400
"""Statements that a thread of pages keeps ready.

When there is no room for a new one, pysqlite3 lets go of the one that came last: of its own hundred, those that came
first would stay, and all others be worked out each time. Of inserts there is one for each number of rows, so a thread
that writes has no more than that.
"""


def keep_connection(*, cache_kib: int | None = READER_CACHE_KIB, statements: int | None = None) -> None:
    """Let this thread keep its connection from now on, if it is one to SQLite.

    `cache_kib` is what it holds of the file, `statements` how many it holds ready; None is what all other connections
    have.
    """
    if connection.vendor == "sqlite":
        connection.keep(cache_kib=cache_kib, statements=statements)  # type: ignore[attr-defined] # koda_web.engines.sqlite3
