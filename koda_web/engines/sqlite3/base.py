"""Django's SQLite, whose statements are put into SQLite's words once, and so are moments.

Django writes `%s` where a value goes, SQLite reads `?`. To look for it in the text of every statement took a twentieth
of what the server does for a message. SQLite keeps moments as text; one write names the same in many columns.
"""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from sqlite3 import dbapi2
from typing import Any

from django.db.backends.sqlite3 import base, operations
from django.utils import dateparse

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


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection, which its thread may keep from one request to the next."""

    ops_class = Operations

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_kept = False
        self._cache_kib: int | None = None
        self._statements: int | None = None
        self._file: tuple[int, int] | None = None

    def keep(self, *, cache_kib: int | None, statements: int | None) -> None:
        """Stay open beyond the end of a request, holding as much of the file in memory and as many statements ready.

        None: as all others do.
        """
        self._is_kept, self._cache_kib, self._statements = True, cache_kib, statements

    def connect(self) -> None:
        """Open the file, and note which it is: the one that stood there before, lest another came meanwhile."""
        before = self._file_now()
        super().connect()
        if self._is_kept:
            self.close_at = None
            self._file = before or self._file_now()

    def get_new_connection(self, conn_params: Any) -> Any:
        """Open the file with what this thread may have."""
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
