"""SQLite's write-ahead log as the server tends it: watched for commits, checkpointed by one process.

Connections are opened with ``wal_autocheckpoint=0``, so nobody else checkpoints while the server runs.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

SMALL = 1024 * 1024
"""Bytes of log that are not worth a checkpoint."""

_BUSY_TIMEOUT_MILLISECONDS = 500
"""How long a checkpoint waits for readers; writers wait with it, for it holds their lock."""


class Watch:
    """A connection that stays open and sees the commits of all others, those to a file that replaced its own too.

    Being open is half of its use: when the last connection closes, SQLite checkpoints and deletes the log,
    which at low load would happen after every request. Use it from one thread.
    """

    def __init__(self) -> None:
        self._connection: BaseDatabaseWrapper | None = None
        self._version: int | None = None

    def has_changed(self) -> bool:
        """Say whether another connection, of any process, has committed since the last call."""
        if self._connection is None:
            self._connection = connections.create_connection(DEFAULT_DB_ALIAS)
            self._connection.keep(cache_kib=None, statements=None)  # type: ignore[attr-defined] # koda_web.engines
        self._connection.close_if_unusable_or_obsolete()
        if self._connection.connection is None:
            self._version = None
        try:
            version = _pragma(self._connection, "data_version")[0]
        except Exception:
            self.close()
            raise
        changed = version != self._version
        self._version = version
        return changed

    def close(self) -> None:
        """Close the connection; the next call of `has_changed()` opens another and says True."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._version = None


def checkpoint(*, at_least: int = SMALL, turn: AbstractContextManager[object] | None = None) -> None:
    """Write the log into the database and empty it, when it has `at_least` bytes.

    TRUNCATE takes the writers' lock, so it cannot overlap a commit. While a reader keeps it from emptying
    the log, what can be written back is (PASSIVE). `turn` is taken for it by whoever shares it with other writers of
    its process: SQLite's own lock goes to who asks in the right moment, and the log would grow beside writers that
    never rest.
    """
    database = connections.create_connection(DEFAULT_DB_ALIAS)
    log = Path(f"{database.settings_dict['NAME']}-wal")
    if not log.exists() or log.stat().st_size < at_least:
        return
    try:
        _pragma(database, f"busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}")
        with turn or nullcontext():
            is_busy = _pragma(database, "wal_checkpoint(TRUNCATE)")[0]
        if is_busy:
            _pragma(database, "wal_checkpoint(PASSIVE)")
    finally:
        database.close()


def _pragma(database: BaseDatabaseWrapper, text: str) -> tuple[int, ...]:
    with database.cursor() as cursor:
        cursor.execute(f"PRAGMA {text}")
        row: tuple[int, ...] = cursor.fetchone()
        return row
