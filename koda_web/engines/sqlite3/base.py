"""Django's SQLite, whose statements are put into SQLite's words once.

Django writes `%s` where a value goes, SQLite reads `?`. To look for it in the text of every statement took a twentieth
of what the server does for a message.
"""

from functools import lru_cache
from typing import Any

from django.db.backends.sqlite3 import base

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


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection."""

    def create_cursor(self, name: Any = None) -> Cursor:  # noqa: ARG002 - Django's
        """Return a cursor of the connection."""
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor
