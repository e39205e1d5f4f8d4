"""ZeroClaw's two databases: what of them is read, and how. In `sessions.db` the table `sessions` holds messages."""

from collections import defaultdict

from sessions.importers.database import ForeignDatabase
from sessions.importers.fields import JsonObject

SESSION_COLUMNS = (
    "session_key", "created_at", "last_activity", "name", "state", "turn_id", "turn_started_at", "agent_alias",
    "channel_id", "room_id", "sender_id",
)  # fmt: skip
MESSAGE_COLUMNS = ("id", "role", "content", "created_at")
ACP_SESSION_COLUMNS = (
    "id", "session_uuid", "agent_alias", "workspace_dir", "token_count", "killed_at", "created_at", "plan_json",
)  # fmt: skip
ACP_MESSAGE_COLUMNS = ("id", "role", "content", "reasoning_content", "created_at")
ACP_CALL_COLUMNS = ("id", "message_id", "tool_call_id", "tool_name", "event_kind", "payload", "created_at")
ACP_EVENT_COLUMNS = ("id", "session_id", "action", "outcome", "payload", "created_at")


class ZeroClawDatabase(ForeignDatabase):
    """Reads of a sessions.db. All raise `InvalidRequest` when it cannot be read."""

    program = "ZeroClaw"
    needed = {  # noqa: RUF012
        "session_metadata": frozenset({"session_key"}),
        "sessions": frozenset({"id", "session_key", "role", "content"}),
    }

    def sessions(self) -> list[JsonObject]:
        """Return all sessions, the oldest first."""
        return self.rows("session_metadata", SESSION_COLUMNS, "ORDER BY rowid")

    def extents(self) -> dict[object, tuple[int, int]]:
        """Return by session how many messages it has, and the number of the newest."""
        counts = self.all("SELECT session_key, count(*), max(id) FROM sessions GROUP BY session_key")
        return {row[0]: (row[1], row[2]) for row in counts}

    def count(self, key: object) -> int:
        """Return how many messages a session has."""
        return int(self.all("SELECT count(*) FROM sessions WHERE session_key = ?", (key,))[0][0])

    def messages(self, key: object, *, after: int, limit: int) -> list[JsonObject]:
        """Return the next messages of a session."""
        rest = "WHERE session_key = ? AND id > ? ORDER BY id LIMIT ?"
        return self.rows("sessions", MESSAGE_COLUMNS, rest, (key, after, limit))

    def present(self, key: object) -> frozenset[int]:
        """Return the numbers of the messages that a session has."""
        return frozenset(row[0] for row in self.all("SELECT id FROM sessions WHERE session_key = ?", (key,)))

    def first_prompt(self, key: object) -> object:
        """Return the words of the first user message of a session, None when there is none."""
        sql = "SELECT content FROM sessions WHERE session_key = ? AND role = 'user' ORDER BY id LIMIT 1"
        return next((row[0] for row in self.all(sql, (key,))), None)


class AcpDatabase(ForeignDatabase):
    """Reads of an acp-sessions.db. All raise `InvalidRequest` when it cannot be read."""

    program = "ZeroClaw"
    needed = {  # noqa: RUF012
        "acp_sessions": frozenset({"id", "session_uuid"}),
        "acp_messages": frozenset({"id", "session_id", "role", "content"}),
    }
    optional = frozenset({"acp_tool_calls", "acp_session_events"})

    def sessions(self) -> list[JsonObject]:
        """Return all sessions, killed ones too, the oldest first."""
        return self.rows("acp_sessions", ACP_SESSION_COLUMNS, "ORDER BY id")

    def newest_messages(self) -> dict[object, int]:
        """Return by session the number of its newest message."""
        return dict(map(tuple, self.all("SELECT session_id, max(id) FROM acp_messages GROUP BY session_id")))

    def messages(self, session_id: object, *, after: int, limit: int) -> list[JsonObject]:
        """Return the next messages of a session."""
        rest = "WHERE session_id = ? AND id > ? ORDER BY id LIMIT ?"
        return self.rows("acp_messages", ACP_MESSAGE_COLUMNS, rest, (session_id, after, limit))

    def calls(self, *, first: int, last: int) -> dict[object, list[JsonObject]]:
        """Return what the messages in a span of numbers tell of calls and results, by message, in order."""
        found: dict[object, list[JsonObject]] = defaultdict(list)
        rest = "WHERE message_id BETWEEN ? AND ? ORDER BY id"
        for row in self.rows("acp_tool_calls", ACP_CALL_COLUMNS, rest, (first, last)):
            found[row.get("message_id")].append(row)
        return found

    def events(self, *, after: int) -> dict[object, list[JsonObject]]:
        """Return the events after a number, by session."""
        found: dict[object, list[JsonObject]] = defaultdict(list)
        for row in self.rows("acp_session_events", ACP_EVENT_COLUMNS, "WHERE id > ? ORDER BY id", (after,)):
            found[row.get("session_id")].append(row)
        return found
