"""Django's SQLite: statements are put into SQLite's words once, and so are moments; transactions take turns.

Django writes `%s` where a value goes, SQLite reads `?`. To look for it in the text of every statement took a twentieth
of what the server does for a message. SQLite keeps moments as text; one write names the same in many columns.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from sqlite3 import dbapi2
from typing import Any, ClassVar, Protocol

from django.db import OperationalError
from django.db.backends.sqlite3 import base, operations
from django.utils import dateparse

_PATIENCE_SECONDS = 5.0
"""How long SQLite's driver lets a transaction wait where nothing else is said."""
_AT_ONCE = 0.1
"""Seconds of waiting for a turn that are not worth counting."""
_KEPT = 512
_LONGEST_KEPT = 10_000
"""Characters; a longer statement has a list of values in it, and hardly comes again."""


class Cursor(base.SQLiteCursorWrapper):
    """Django's cursor."""

    def convert_query(self, query: str, *, param_names: Any = None) -> str:
        """Return a statement as SQLite reads it."""
        if param_names is not None or len(query) > _LONGEST_KEPT:
            return super().convert_query(query, param_names=param_names)
        return _converted(str(query))


@lru_cache(maxsize=_KEPT)
def _converted(query: str) -> str:
    return base.SQLiteCursorWrapper.convert_query(None, query)  # type: ignore[arg-type] # it looks at no cursor


class Operations(operations.DatabaseOperations):
    """Django's, which know the last moments by heart."""

    def adapt_datetimefield_value(self, value: datetime | None) -> Any:
        """Return a moment as SQLite keeps it; only those of UTC are known by heart: elsewhere an hour comes twice."""
        if value is None or value.tzinfo is not UTC or self.connection.timezone is not UTC:
            return super().adapt_datetimefield_value(value)
        return _moment_written(value)

    def convert_datetimefield_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the moment that SQLite kept, with its time zone."""
        if type(value) is not datetime or value.tzinfo is not None or self.connection.timezone is not UTC:
            return super().convert_datetimefield_value(value, expression, connection)
        return value.replace(tzinfo=UTC)


@lru_cache(maxsize=_KEPT)
def _moment_written(moment: datetime) -> str:
    return str(moment.replace(tzinfo=None))


@lru_cache(maxsize=_KEPT)
def _moment_read(text: bytes) -> datetime | None:
    return dateparse.parse_datetime(text.decode())


dbapi2.register_converter("datetime", _moment_read)  # in the place of Django's


class Turn(Protocol):
    """What a process takes in turn: given to who has waited longest, and again to a thread that has it."""

    def acquire(self, *, timeout: float) -> bool:
        """Say whether it was had within so many seconds."""

    def release(self) -> None:
        """Give it back."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection, which its thread may keep from one request to the next.

    Transactions of a process that has a `turn` begin in the order in which they were asked for. SQLite's own lock goes
    to who asks in the right moment: beside a writer that never rests others would wait for seconds.
    """

    ops_class = Operations
    turn: ClassVar[Turn | None] = None
    """Taken by each transaction of the process, for as long as it lasts; None: they meet at SQLite's lock alone."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.patience_seconds = float(self.settings_dict["OPTIONS"].get("timeout", _PATIENCE_SECONDS))
        """How long a transaction waits for another's."""
        self._turn_taken: Turn | None = None
        self._is_kept = False
        self._cache_kib: int | None = None
        self._statements: int | None = None
        self._file: tuple[int, int] | None = None

    @classmethod
    def take_turns(cls, turn: Turn | None) -> None:
        """Let the transactions of this process take this turn from now on."""
        cls.turn = turn

    def keep(self, *, cache_kib: int | None, statements: int | None) -> None:
        """Stay open beyond the end of a request, holding as much of the file in memory and as many statements ready.

        None: as all others do.
        """
        self._is_kept, self._cache_kib, self._statements = True, cache_kib, statements

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Wait for another's transaction no longer than this, inside."""
        before = self.patience_seconds
        self._be_patient(seconds)
        try:
            yield
        finally:
            self._be_patient(before)

    def _be_patient(self, seconds: float) -> None:
        self.patience_seconds = seconds
        if self.connection is not None:  # else it is opened with that
            self.connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    def _start_transaction_under_autocommit(self) -> None:
        """Begin in turn; what the turn cost of the patience, the lock does not get again."""
        began = time.monotonic()
        if (turn := self.turn) is not None and self._turn_taken is None:
            if not turn.acquire(timeout=self.patience_seconds):
                raise OperationalError("database is locked")  # in SQLite's words
            self._turn_taken = turn
        waited = time.monotonic() - began
        try:
            with self.patience(max(0.0, self.patience_seconds - waited)) if waited > _AT_ONCE else nullcontext():
                super()._start_transaction_under_autocommit()  # type: ignore[misc] # Django's own step
        except BaseException:
            self._give_turn_back()
            raise

    def _commit(self) -> None:
        """Commit; a transaction that cannot be is rolled back by whoever asked for it."""
        super()._commit()  # type: ignore[misc] # Django's own step
        self._give_turn_back()

    def _rollback(self) -> None:
        """Roll back."""
        try:
            super()._rollback()  # type: ignore[misc] # Django's own step
        finally:
            self._give_turn_back()

    def _close(self) -> None:
        """Close, with whatever was not committed."""
        try:
            super()._close()  # type: ignore[misc] # Django's own step
        finally:
            self._give_turn_back()

    def _give_turn_back(self) -> None:
        if (turn := self._turn_taken) is not None:
            self._turn_taken = None
            turn.release()

    def connect(self) -> None:
        """Open the file, and note which it is: the one that stood there before, lest another came meanwhile."""
        before = self._file_now()
        super().connect()
        if self._is_kept:
            self.close_at = None
            self._file = before or self._file_now()

    def get_new_connection(self, conn_params: Any) -> Any:
        """Open the file with what this thread may have."""
        conn_params = {**conn_params, "timeout": self.patience_seconds}
        if self._statements is not None:
            conn_params = {**conn_params, "cached_statements": self._statements}
        opened = super().get_new_connection(conn_params)
        if self._cache_kib is not None:
            opened.execute(f"PRAGMA cache_size = -{self._cache_kib}")
        return opened

    def close_if_unusable_or_obsolete(self) -> None:
        """Close as Django does; what is kept, after an error and when its file was removed or replaced.

        What the old file takes, nobody would ever read.
        """
        may_leave = self._is_kept and self.connection is not None and not self.in_atomic_block
        if may_leave and (self.errors_occurred or self._file != self._file_now()):
            self.close()
        super().close_if_unusable_or_obsolete()

    def _file_now(self) -> tuple[int, int] | None:
        try:
            state = Path(self.settings_dict["NAME"]).stat()
        except OSError:
            return None
        return state.st_dev, state.st_ino

    def create_cursor(self, name: Any = None) -> Cursor:  # noqa: ARG002 - Django's
        """Return a cursor of the connection."""
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor
