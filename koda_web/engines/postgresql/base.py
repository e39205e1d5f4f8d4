"""Django's PostgreSQL, with two differences.

Where no database answers one request finds that out, and not each of those that wait behind. And what may not be
written to, or read, is unusable, as on SQLite, and no fault of the question.
"""

from types import TracebackType
from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper, OperationalError
from django.utils.functional import cached_property
from psycopg_pool import ConnectionPool, PoolTimeout

AWAY_SECONDS = 1.0
"""How long a connection is waited for after one was waited for in vain.

A few threads serve all requests, so these waits add up: with forty agents and the pool's ten seconds the last one was
told after fifty.
"""
_WITHHELD = {
    "25006",  # read-only, as a standby is until it has taken over
    "42501",  # a right is missing
}


class _Errors(DatabaseErrorWrapper):
    """Gives what the database withholds the name that SQLite gives it."""

    wrapper: base.DatabaseWrapper
    """Set by Django, which does not tell types of it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and getattr(error, "sqlstate", None) in _WITHHELD:
            self.wrapper.errors_occurred = True  # as Django notes it: the connection is looked at before its next use
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """Waits for a connection as long as the pool is told to, and less while there was none the last time."""

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """Return what gives the driver's errors Django's names."""
        return _Errors(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection. Raises psycopg's `OperationalError` when none came in time."""
        pool: ConnectionPool[Any] | None = self.pool
        try:
            connection = super().get_new_connection(conn_params)
        except PoolTimeout:
            if pool is not None:
                pool.timeout = min(pool.timeout, AWAY_SECONDS)
            raise
        if pool is not None:
            pool.timeout = self.settings_dict["OPTIONS"]["pool"]["timeout"]
        return connection
