"""The store as a whole: how large it is, and giving back what was purged."""

from django.apps import apps
from django.db import connection

from sessions.models.search_index import tidy


def stored_bytes() -> int:
    """Return how large the database is on the disk, without SQLite's write-ahead log."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
        pages = []
        for pragma in ("page_count", "page_size"):
            cursor.execute(f"PRAGMA {pragma}")
            pages.append(int(cursor.fetchone()[0]))
        return pages[0] * pages[1]


def give_back() -> bool:
    """Rewrite the database without what was destroyed, so that nothing of it is left in its files.

    On SQLite everybody waits meanwhile. Say whether the write-ahead log could be emptied, too: a long reader keeps it.
    Call it outside a transaction.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model in apps.get_app_config("koda_sessions").get_models():
                cursor.execute(f"VACUUM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: SLF001
        return True
    tidy(connection)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return not cursor.fetchone()[0]
