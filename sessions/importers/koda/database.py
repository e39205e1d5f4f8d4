"""A koda.db: what of it is read, and how."""

from collections import defaultdict

from sessions.importers.database import ForeignDatabase
from sessions.importers.fields import JsonObject

TELLING = ("tool_calls", "tool_call_id", "prompt_tokens")
"""Columns of messages of which at least one is there in every version: other programs have sessions, too."""
SESSION_COLUMNS = ("id", "created_at", "agent_name", "project_root", "title", "mode")
MESSAGE_COLUMNS = (
    "id", "role", "content", "tool_calls", "tool_call_id", "prompt_tokens", "completion_tokens", "created_at",
    "cache_read_tokens", "cache_creation_tokens", "thinking_tokens", "agent_name", "completed_at", "thinking_content",
)  # fmt: skip
EVENT_COLUMNS = ("id", "session_id", "kind", "payload", "parent_tool_call_id", "created_at")


class KodaDatabase(ForeignDatabase):
    """Reads of one database file. All raise `InvalidRequest` when it cannot be read."""

    program = "Koda"
    needed = {"sessions": frozenset({"id"}), "messages": frozenset({"id", "session_id", "role", "content"})}  # noqa: RUF012
    optional = frozenset({"session_metadata", "owned_files", "session_events"})

    def require(self) -> None:
        """Raise `InvalidRequest` when these are not Koda's columns."""
        super().require()
        if not any(self.has("messages", column) for column in TELLING):
            raise self.foreign("its messages know no tools or tokens")

    def sessions(self) -> list[JsonObject]:
        """Return all sessions, the oldest first."""
        return self.rows("sessions", SESSION_COLUMNS, "ORDER BY rowid")

    def extents(self) -> dict[object, tuple[int, int]]:
        """Return by session how many messages it has, and the number of the newest."""
        counts = self.all("SELECT session_id, count(*), max(id) FROM messages GROUP BY session_id")
        return {row[0]: (row[1], row[2]) for row in counts}

    def count(self, session_id: object) -> int:
        """Return how many messages a session has."""
        return int(self.all("SELECT count(*) FROM messages WHERE session_id = ?", (session_id,))[0][0])

    def messages(self, session_id: object, *, after: int, limit: int) -> list[JsonObject]:
        """Return the next messages of a session."""
        rest = "WHERE session_id = ? AND id > ? ORDER BY id LIMIT ?"
        return self.rows("messages", MESSAGE_COLUMNS, rest, (session_id, after, limit))

    def present(self, session_id: object) -> dict[int, object]:
        """Return the rows that a session has, and when each was compacted."""
        compacted_at = "compacted_at" if self.has("messages", "compacted_at") else "NULL"
        sql = f"SELECT id, {compacted_at} FROM messages WHERE session_id = ? ORDER BY id"  # noqa: S608 - of the two
        return dict(map(tuple, self.all(sql, (session_id,))))

    def calls_of(self, tool: str, *, after: int) -> list[JsonObject]:
        """Return the assistant rows after a number whose calls speak of `tool`."""
        if not self.has("messages", "tool_calls"):
            return []
        sql = (
            "SELECT id, session_id, tool_calls FROM messages "
            "WHERE role = 'assistant' AND id > ? AND instr(tool_calls, ?) ORDER BY id"
        )
        return [dict(row) for row in self.all(sql, (after, tool))]

    def first_prompt(self, session_id: object) -> tuple[int, object] | None:
        """Return number and words of the first user message of a session, None when there is none."""
        sql = "SELECT id, content FROM messages WHERE session_id = ? AND role = 'user' ORDER BY id LIMIT 1"
        return next(((row[0], row[1]) for row in self.all(sql, (session_id,))), None)

    def result_row(self, session_id: object, call_id: str, *, after: int) -> int | None:
        """Return the number of the row that answers a call, None while there is none."""
        if not self.has("messages", "tool_call_id"):
            return None
        sql = "SELECT min(id) FROM messages WHERE session_id = ? AND role = 'tool' AND tool_call_id = ? AND id > ?"
        number = self.all(sql, (session_id, call_id, after))[0][0]
        return number if isinstance(number, int) else None

    def metadata(self) -> dict[object, dict[object, object]]:
        """Return the values of all sessions, by session and key."""
        values: dict[object, dict[object, object]] = defaultdict(dict)
        for row in self.rows("session_metadata", ("session_id", "key", "value")):
            values[row.get("session_id")][row.get("key")] = row.get("value")
        return values

    def files(self) -> dict[object, list[object]]:
        """Return the files that sessions own, by session."""
        paths: dict[object, list[object]] = defaultdict(list)
        for row in self.rows("owned_files", ("session_id", "path")):
            paths[row.get("session_id")].append(row.get("path"))
        return paths

    def events(self, *, after: int) -> dict[object, list[JsonObject]]:
        """Return the events after a number, by session; none of a table without numbers, which would come twice."""
        found: dict[object, list[JsonObject]] = defaultdict(list)
        if self.has("session_events", "id"):
            for row in self.rows("session_events", EVENT_COLUMNS, "WHERE id > ? ORDER BY id", (after,)):
                found[row.get("session_id")].append(row)
        return found
