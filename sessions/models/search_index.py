"""What Django's models cannot say of the search index: the FTS5 table and its trigger, the GIN index.

A remake of a table, which a migration on SQLite often is, drops its triggers without a word. So `install` is
called after every `migrate` too, looks for what is missing, and remakes the full-text table from the entries then.
"""

# ruff: noqa: S608 - the names in these statements are constants of this module
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "koda_sessions_searchentry"
FULL_TEXT = "koda_sessions_fulltext"
_TRIGGER = "koda_sessions_searchentry_gone"
_SECURE_DELETE_SINCE = (3, 42)
"""The version of SQLite from which a deleted word leaves the full-text table at once."""
_PIECES = {"automerge": 32, "crisismerge": 128}
"""How many pieces of one size there may be until a batch merges some of them beside its own work, and until it merges
all of them at once. With fewer, as SQLite has them, merging is a third of what a batch costs and more; `merge` does it
when it is quiet.
"""
_MERGED_PAGES = 100
"""Pages that `merge` writes at most, about: nobody else can write meanwhile, which is some ten milliseconds."""

# The words come folded, with spaces between them; "ascii" leaves all else as it is. An index of prefixes would double
# what each message costs, and helps those of one length alone.
_CREATE = f"""CREATE VIRTUAL TABLE {FULL_TEXT} USING fts5(
    words, scope, content='{TABLE}', content_rowid='id', tokenize='ascii'
)"""
# Only deletes go row by row: cascades, purges and commands then cannot leave a text that is still found.
_CREATE_TRIGGER = f"""CREATE TRIGGER {_TRIGGER} AFTER DELETE ON {TABLE} BEGIN
    INSERT INTO {FULL_TEXT}({FULL_TEXT}, rowid, words, scope) VALUES ('delete', old.id, old.words, old.scope);
END"""
_CREATE_GIN = f"CREATE INDEX {FULL_TEXT} ON {TABLE} USING gin (words, scope)"


def install(connection: BaseDatabaseWrapper) -> bool:
    """Make what is missing; say whether anything was. Does nothing while the table of entries is not there."""
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return False
        if connection.vendor == "postgresql":
            cursor.execute("SELECT to_regclass(%s)", [FULL_TEXT])
            is_missing = bool(cursor.fetchone() == (None,))
            if is_missing:
                cursor.execute(_CREATE_GIN)
            return is_missing
        cursor.execute("SELECT name FROM sqlite_master WHERE name IN (%s, %s)", [FULL_TEXT, _TRIGGER])
        present = {name for (name,) in cursor.fetchall()}
        if FULL_TEXT not in present:
            cursor.execute(_CREATE)
            if connection.Database.sqlite_version_info >= _SECURE_DELETE_SINCE:  # type: ignore[attr-defined]
                cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES ('secure-delete', 1)")
        cursor.executemany(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES (%s, %s)", [*_PIECES.items()])
        if present == {FULL_TEXT, _TRIGGER}:
            return False
        if _TRIGGER not in present:
            cursor.execute(_CREATE_TRIGGER)
        cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}) VALUES ('rebuild')")
    return True


def remove(connection: BaseDatabaseWrapper) -> None:
    """Drop what `install` made."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP INDEX IF EXISTS {FULL_TEXT}")
            return
        cursor.execute(f"DROP TRIGGER IF EXISTS {_TRIGGER}")
        cursor.execute(f"DROP TABLE IF EXISTS {FULL_TEXT}")


def hold(connection: BaseDatabaseWrapper) -> None:
    """Wait until nobody else indexes, until this transaction ends; two would give a session two entries.

    On SQLite the transaction itself is the lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [FULL_TEXT])


def make_way(connection: BaseDatabaseWrapper) -> None:
    """Take away what slows down or, damaged, refuses the deletion of all entries; `install` brings it back."""
    if connection.vendor == "sqlite":
        remove(connection)


def merge(connection: BaseDatabaseWrapper) -> bool:
    """Merge some pieces of the full-text table, and say whether there were any to merge; PostgreSQL has none.

    A merge changes rows of SQLite's own; the order for it counts as one, too.
    """
    if connection.vendor != "sqlite":
        return False
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        before = connection.connection.total_changes
        cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES ('merge', {_MERGED_PAGES})")
        return bool(connection.connection.total_changes - before > 1)


def tidy(connection: BaseDatabaseWrapper) -> None:
    """Merge the full-text table into one piece, which leaves nothing of deleted words in any version of SQLite."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}) VALUES ('optimize')")


def is_sound(connection: BaseDatabaseWrapper) -> bool:
    """Say whether the full-text table agrees with the entries; PostgreSQL has one table, which always does."""
    if connection.vendor != "sqlite":
        return True
    try:
        with transaction.atomic(connection.alias), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES ('integrity-check', 1)")
    except DatabaseError:
        return False
    return True


def install_after_migrate(*, using: str, **_facts: Any) -> None:
    """Receive Django's `post_migrate`."""
    install(connections[using])
