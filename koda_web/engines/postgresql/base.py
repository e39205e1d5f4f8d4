"""Django's PostgreSQL: where no database answers one request finds that out, and not each of those that wait behind."""

from typing import Any

from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool, PoolTimeout

AWAY_SECONDS = 1.0
"""How long a connection is waited for after one was waited for in vain.

A few threads serve all requests, so these waits add up: with forty agents and the pool's ten seconds the last one was
told after fifty.
"""


class DatabaseWrapper(base.DatabaseWrapper):
    """Waits for a connection as long as the pool is told to, and less while there was none the last time."""

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
