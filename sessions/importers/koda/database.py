"""A koda.db, opened read-only beside a Koda that may be writing to it.

Its columns came and went with the versions, so each is asked for only where it exists. No read stays open while
records are written elsewhere: an open read keeps Koda's own log from being folded in.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sessions.exceptions import InvalidRequest
from sessions.importers.fields import JsonObject

MAGIC = b"SQLite format 3\x00"
NEEDED = {"sessions": {"id"}, "messages": {"id", "session_id", "role", "content"}}
"""Columns without which a database is not Koda's."""
TELLING = ("tool_calls", "tool_call_id", "prompt_tokens")
"""Columns of messages of which at least one is there in every version: other programs have sessions, too."""
SESSION_COLUMNS = ("id", "created_at", "agent_name", "project_root", "title", "mode")
MESSAGE_COLUMNS = (
    "id", "role", "content", "tool_calls", "tool_call_id", "prompt_tokens", "completion_tokens", "created_at",
    "cache_read_tokens", "cache_creation_tokens", "thinking_tokens", "agent_name", "completed_at", "thinking_content",
)  # fmt: skip
EVENT_COLUMNS = ("id", "session_id", "kind", "payload", "parent_tool_call_id", "created_at")
LOCKED_SECONDS = 5


def recognises(path: Path, *, head: bytes) -> bool:
    """Say whether the file is a Koda database. Never raises."""
    return head.startswith(MAGIC) and fault(path, head=head) is None


def fault(path: Path, *, head: bytes) -> str | None:
    """Return why a database is not Koda's, in a sentence; None when it is, or is no database at all."""
    if not head and path.suffix == ".db":
        return f"{path} is empty: no database was made in it yet."
    if not head.startswith(MAGIC):
        return None
    try:
        KodaDatabase(path).close()
    except InvalidRequest as invalid:
        return invalid.detail
    except OSError as error:
        return f"{path} cannot be opened: {error}."
    return None


class KodaDatabase:
    """Reads of one database file. All raise `InvalidRequest` when it cannot be read."""

    def __init__(self, path: Path) -> None:
        """Open it and see what it has. Raises `OSError` without a file, `InvalidRequest` when it is not Koda's."""
        self._path = path
        path.stat()
        self._columns: dict[str, set[str]] = {}
        with self._readable():
            address = f"{path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS, isolation_level=None)
        try:
            self._connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
            self._connection.row_factory = sqlite3.Row
            self._probe()
        except InvalidRequest:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def has(self, table: str, column: str = "") -> bool:
        """Say whether the table is there, and has the column."""
        columns = self._columns.get(table)
        return columns is not None and (not column or column in columns)

    def data_version(self) -> int:
        """Return a number that changes whenever somebody else commits."""
        return int(self._all("PRAGMA data_version")[0][0])

    def sessions(self) -> list[JsonObject]:
        """Return all sessions, the oldest first."""
        return self._rows("sessions", SESSION_COLUMNS, "ORDER BY rowid")

    def extents(self) -> dict[object, tuple[int, int]]:
        """Return by session how many messages it has, and the number of the newest."""
        counts = self._all("SELECT session_id, count(*), max(id) FROM messages GROUP BY session_id")
        return {row[0]: (row[1], row[2]) for row in counts}

    def count(self, session_id: object) -> int:
        """Return how many messages a session has."""
        return int(self._all("SELECT count(*) FROM messages WHERE session_id = ?", (session_id,))[0][0])

    def newest_row(self) -> int:
        """Return the highest number that a message ever had; rows that are deleted since count, too."""
        numbers = [row[0] for row in self._all("SELECT max(id) FROM messages")]
        if self._all("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
            numbers += [row[0] for row in self._all("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")]
        return max((number for number in numbers if isinstance(number, int)), default=0)

    def messages(self, session_id: object, *, after: int, limit: int) -> list[JsonObject]:
        """Return the next messages of a session."""
        rest = "WHERE session_id = ? AND id > ? ORDER BY id LIMIT ?"
        return self._rows("messages", MESSAGE_COLUMNS, rest, (session_id, after, limit))

    def present(self, session_id: object) -> dict[int, object]:
        """Return the rows that a session has, and when each was compacted."""
        compacted_at = "compacted_at" if self.has("messages", "compacted_at") else "NULL"
        sql = f"SELECT id, {compacted_at} FROM messages WHERE session_id = ? ORDER BY id"  # noqa: S608 - of the two
        return dict(map(tuple, self._all(sql, (session_id,))))

    def calls_of(self, tool: str, *, after: int) -> list[JsonObject]:
        """Return the assistant rows after a number whose calls speak of `tool`."""
        if not self.has("messages", "tool_calls"):
            return []
        sql = (
            "SELECT id, session_id, tool_calls FROM messages "
            "WHERE role = 'assistant' AND id > ? AND instr(tool_calls, ?) ORDER BY id"
        )
        return [dict(row) for row in self._all(sql, (after, tool))]

    def first_prompt(self, session_id: object) -> tuple[int, object] | None:
        """Return number and words of the first user message of a session, None when there is none."""
        sql = "SELECT id, content FROM messages WHERE session_id = ? AND role = 'user' ORDER BY id LIMIT 1"
        return next(((row[0], row[1]) for row in self._all(sql, (session_id,))), None)

    def result_row(self, session_id: object, call_id: str, *, after: int) -> int | None:
        """Return the number of the row that answers a call, None while there is none."""
        if not self.has("messages", "tool_call_id"):
            return None
        sql = "SELECT min(id) FROM messages WHERE session_id = ? AND role = 'tool' AND tool_call_id = ? AND id > ?"
        number = self._all(sql, (session_id, call_id, after))[0][0]
        return number if isinstance(number, int) else None

    def metadata(self) -> dict[object, dict[object, object]]:
        """Return the values of all sessions, by session and key."""
        values: dict[object, dict[object, object]] = defaultdict(dict)
        for row in self._rows("session_metadata", ("session_id", "key", "value")):
            values[row.get("session_id")][row.get("key")] = row.get("value")
        return values

    def files(self) -> dict[object, list[object]]:
        """Return the files that sessions own, by session."""
        paths: dict[object, list[object]] = defaultdict(list)
        for row in self._rows("owned_files", ("session_id", "path")):
            paths[row.get("session_id")].append(row.get("path"))
        return paths

    def events(self, *, after: int) -> dict[object, list[JsonObject]]:
        """Return the events after a number, by session; none of a table without numbers, which would come twice."""
        found: dict[object, list[JsonObject]] = defaultdict(list)
        if self.has("session_events", "id"):
            for row in self._rows("session_events", EVENT_COLUMNS, "WHERE id > ? ORDER BY id", (after,)):
                found[row.get("session_id")].append(row)
        return found

    def _probe(self) -> None:
        """Note the columns of all tables. Raises `InvalidRequest` when these are not Koda's."""
        tables = {row[0] for row in self._all("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in sorted(tables & {"sessions", "messages", "session_metadata", "owned_files", "session_events"}):
            self._columns[table] = {str(row["name"]).lower() for row in self._all(f"PRAGMA table_info({table})")}
        for table, needed in NEEDED.items():
            if table not in self._columns:
                raise InvalidRequest(f"{self._path} is a database, but not Koda's: it has no table {table}.")
            missing = needed - self._columns[table]
            if missing:
                lack = ", ".join(sorted(missing))
                raise InvalidRequest(f"{self._path} is a database, but not Koda's: its {table} have no {lack}.")
        if not self._columns["messages"].intersection(TELLING):
            raise InvalidRequest(f"{self._path} is a database, but not Koda's: its messages know no tools or tokens.")

    def _rows(
        self, table: str, columns: Sequence[str], rest: str = "", values: Sequence[object] = ()
    ) -> list[JsonObject]:
        """Return rows of a table with those of `columns` that it has; none when it has not even the first."""
        if not self.has(table, columns[0]):
            return []
        names = ", ".join(name for name in columns if self.has(table, name))
        sql = f"SELECT {names} FROM {table} {rest}"  # noqa: S608 - all names are from this module
        return [dict(row) for row in self._all(sql, values)]

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query, so that no read stays open."""
        with self._readable():
            return self._connection.execute(sql, tuple(values)).fetchall()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Tell in a sentence what SQLite finds wrong."""
        try:
            yield
        except (sqlite3.Error, OverflowError) as error:
            raise InvalidRequest(f"{self._path} cannot be read: {error}.") from error
