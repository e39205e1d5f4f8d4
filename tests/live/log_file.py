"""SQLite's write-ahead log of the tests' database, as it lies on the disk."""

from pathlib import Path

from django.db import connection


def size_of_log():
    log = Path(f"{connection.settings_dict['NAME']}-wal")
    return log.stat().st_size if log.exists() else 0
