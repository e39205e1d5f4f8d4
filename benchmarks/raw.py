"""The limit of the machine: sqlite3 with its full-text index, and nothing else."""

import sqlite3
import time
from pathlib import Path

from benchmarks.bodies import text_of


def rows_a_second(place: Path, *, batch: int, has_index: bool, seconds: float = 2) -> float:
    """Return how many rows of 1 kB are committed a second, `batch` a transaction, with the index kept row by row."""
    database = sqlite3.connect(place / f"raw-{batch}-{has_index}-{time.monotonic_ns()}.sqlite3", isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE message (id INTEGER PRIMARY KEY, session INTEGER, role TEXT, content TEXT, at TEXT);"
        "CREATE INDEX by_session ON message (session, id);"
        "CREATE VIRTUAL TABLE words USING fts5(content, content='message', content_rowid='id');"
    )
    rows = [(number % 16, "user", text_of(number), "2026-01-01") for number in range(2000)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        database.execute("BEGIN IMMEDIATE")
        for _ in range(batch):
            row = rows[done % len(rows)]
            cursor = database.execute("INSERT INTO message (session, role, content, at) VALUES (?, ?, ?, ?)", row)
            if has_index:
                database.execute("INSERT INTO words (rowid, content) VALUES (?, ?)", (cursor.lastrowid, row[2]))
            done += 1
        database.execute("COMMIT")
    lasted = time.perf_counter() - began
    database.close()
    return done / lasted
