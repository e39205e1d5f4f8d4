"""What ZeroClaws of every age keep, built and written to as they do; for the tests of their importers."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

METADATA = {
    "session_key": "TEXT PRIMARY KEY",
    "created_at": "TEXT NOT NULL",
    "last_activity": "TEXT NOT NULL",
    "message_count": "INTEGER NOT NULL DEFAULT 0",
}
LATER = {
    "name": "TEXT",
    "state": "TEXT NOT NULL DEFAULT 'idle'",
    "turn_id": "TEXT",
    "turn_started_at": "TEXT",
    "agent_alias": "TEXT",
    "channel_id": "TEXT",
    "room_id": "TEXT",
    "sender_id": "TEXT",
}
AGES = {
    "0.5.8": frozenset(),
    "0.5.9": frozenset({"name"}),
    "0.6.9": frozenset({"name", "state", "turn_id", "turn_started_at"}),
    "0.8.4": frozenset(LATER),
}
"""What each version has beyond the first columns."""
NINE = "2026-03-01T09:00:00.123456789+00:00"


class ZeroClaw:
    """A ZeroClaw that writes to a sessions.db of its own; each statement commits."""

    def __init__(self, path: Path, *, later: Iterable[str] = AGES["0.8.4"]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, session_key TEXT NOT NULL,"
            " role TEXT NOT NULL, content TEXT NOT NULL, created_at TEXT NOT NULL)"
        )
        columns = {**METADATA, **{name: kind for name, kind in LATER.items() if name in later}}
        named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS session_metadata ({named})")
        self.connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS sessions_fts"
            " USING fts5(session_key, content, content=sessions, content_rowid=id)"
        )

    def close(self) -> None:
        self.connection.close()

    def append(self, key: str, role: str, content: str, *, at: str = NINE) -> int:
        number = self.update("INSERT INTO sessions VALUES (NULL, ?, ?, ?, ?)", key, role, content, at)
        self.update(
            "INSERT INTO session_metadata (session_key, created_at, last_activity, message_count) VALUES (?, ?, ?, 1)"
            " ON CONFLICT (session_key) DO UPDATE SET last_activity = excluded.last_activity,"
            " message_count = message_count + 1",
            key, at, at,
        )  # fmt: skip
        return number

    def remove_last(self, key: str) -> None:
        self.update("DELETE FROM sessions WHERE id = (SELECT max(id) FROM sessions WHERE session_key = ?)", key)
        self.set(key, message_count=len(self.select("SELECT 1 FROM sessions WHERE session_key = ?", key)))

    def update_last(self, key: str, role: str, content: str, *, at: str) -> None:
        sql = (
            "UPDATE sessions SET role = ?, content = ? WHERE id = (SELECT max(id) FROM sessions WHERE session_key = ?)"
        )
        self.update(sql, role, content, key)
        self.set(key, last_activity=at)

    def clear(self, key: str, *, at: str) -> None:
        self.update("DELETE FROM sessions WHERE session_key = ?", key)
        self.set(key, message_count=0, last_activity=at)

    def delete(self, key: str) -> None:
        self.update("DELETE FROM sessions WHERE session_key = ?", key)
        self.update("DELETE FROM session_metadata WHERE session_key = ?", key)

    def set(self, key: str, **columns: Any) -> None:
        named = ", ".join(f"{name} = ?" for name in columns)
        self.update(f"UPDATE session_metadata SET {named} WHERE session_key = ?", *columns.values(), key)

    def update(self, sql: str, *values: Any) -> int:
        return int(self.connection.execute(sql, values).lastrowid or 0)

    def select(self, sql: str, *values: Any) -> list[Any]:
        return self.connection.execute(sql, values).fetchall()


class Acp:
    """A ZeroClaw that writes to an acp-sessions.db of its own; a turn is one transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;"
            "CREATE TABLE acp_sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, session_uuid TEXT UNIQUE,"
            " agent_alias TEXT, workspace_dir TEXT, token_count INTEGER, killed_at TEXT, created_at TEXT,"
            " last_activity TEXT, plan_json TEXT);"
            "CREATE TABLE acp_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER"
            " REFERENCES acp_sessions(id) ON DELETE CASCADE, role TEXT, content TEXT, reasoning_content TEXT,"
            " created_at TEXT);"
            "CREATE TABLE acp_tool_calls (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id INTEGER"
            " REFERENCES acp_messages(id) ON DELETE CASCADE, tool_call_id TEXT, tool_name TEXT, event_kind TEXT,"
            " payload TEXT, outcome TEXT, created_at TEXT);"
            "CREATE TABLE acp_session_events (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER, action TEXT,"
            " outcome TEXT, payload TEXT, created_at TEXT);"
        )

    def close(self) -> None:
        self.connection.close()

    def insert(self, table: str, **columns: Any) -> int:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        return int(self.connection.execute(sql, tuple(columns.values())).lastrowid or 0)

    def start(self, uuid: str = "u-1", **columns: Any) -> int:
        facts = {"agent_alias": "lamplighter", "workspace_dir": "/home/ada/lamps", "created_at": NINE, **columns}
        return self.insert("acp_sessions", session_uuid=uuid, **facts)

    def hold_turn(self, session: int, *, call_id: str = "c1", at: str = NINE) -> None:
        """Write a whole turn: prompt, an answer with a call and its result, the last words."""
        facts = {"session_id": session, "created_at": at}
        self.connection.execute("BEGIN")
        self.insert("acp_messages", role="user", content="Count the lamps", **facts)
        answer = self.insert("acp_messages", role="assistant", content="", reasoning_content="Let me see.", **facts)
        call = {"message_id": answer, "tool_call_id": call_id, "tool_name": "shell", "created_at": at}
        self.insert("acp_tool_calls", event_kind="in", payload='{"command": "ls"}', **call)
        self.insert("acp_tool_calls", event_kind="out", payload="nine", **call)
        self.insert("acp_messages", role="assistant", content="Nine.", **facts)
        self.connection.execute("COMMIT")


def write_lines(path: Path, *messages: tuple[str, str], beside: bytes = b"") -> Path:
    """Write a session's file anew, as remove_last does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"role": role, "content": content}).encode() + b"\n" for role, content in messages)
    path.write_bytes(b"".join(lines) + beside)
    return path
