"""A SQLite that does not lose pages, and the options under which it is used.

SQLite 3.7.0 to 3.51.2 can lose committed pages when a checkpoint overlaps a writer that resets the
write-ahead log. Stable distributions still carry such versions, so a fixed one comes as a dependency.
"""

import importlib
import sqlite3
import sys
from pathlib import Path
from typing import Any

FIXED_VERSION = (3, 51, 3)
BUSY_SECONDS = 20
"""How long a transaction waits for another's lock before it gives up; the client is told to come again."""


def use_fixed_library() -> None:
    """Put the fixed SQLite in the place of the standard library's when that one is older.

    Must run before Django's SQLite backend is imported. Where no fixed library is installed (it exists for
    Linux on x86-64) nothing changes, and a system check says so.
    """
    if sqlite3.sqlite_version_info >= FIXED_VERSION:
        return
    try:
        fixed = importlib.import_module("pysqlite3")
    except ImportError:
        return
    sys.modules["sqlite3"] = fixed
    sys.modules["sqlite3.dbapi2"] = fixed.dbapi2


def database(path: Path) -> dict[str, Any]:
    """Return Django's settings for the database file at path.

    IMMEDIATE: a transaction takes the write lock when it begins, so it never fails half-way with "locked".
    synchronous=FULL: what was acknowledged survives a power cut. No automatic checkpoint: the server's
    keeper is the only one who makes them. No mmap: it turns the lost-page fault from rare to structural.
    Django itself switches foreign keys on.
    """
    pragmas = {
        "journal_mode": "WAL",
        "synchronous": "FULL",
        "wal_autocheckpoint": "0",
        "temp_store": "MEMORY",
        "cache_size": "-20000",
        "journal_size_limit": "67108864",
    }
    return {
        "ENGINE": "koda_web.engines.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": 0,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": BUSY_SECONDS,
            "init_command": " ".join(f"PRAGMA {name}={value};" for name, value in pragmas.items()),
        },
    }
