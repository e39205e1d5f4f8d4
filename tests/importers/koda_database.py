"""Koda databases of every age, built and written to as Koda does; for the tests of their importer."""

import json
import sqlite3
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SESSIONS = {"id": "TEXT PRIMARY KEY", "created_at": "DATETIME DEFAULT CURRENT_TIMESTAMP", "agent_name": "TEXT NOT NULL"}
MESSAGES = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "session_id": "TEXT NOT NULL",
    "role": "TEXT NOT NULL",
    "content": "TEXT",
    "tool_calls": "TEXT",
    "tool_call_id": "TEXT",
    "prompt_tokens": "INTEGER",
    "completion_tokens": "INTEGER",
    "created_at": "DATETIME DEFAULT CURRENT_TIMESTAMP",
}
LATER_SESSIONS = {"project_root": "TEXT", "last_accessed_at": "TEXT", "title": "TEXT", "mode": "TEXT"}
LATER_MESSAGES = {
    "cache_read_tokens": "INTEGER",
    "cache_creation_tokens": "INTEGER",
    "thinking_tokens": "INTEGER",
    "agent_name": "TEXT",
    "compacted_at": "TEXT",
    "completed_at": "TEXT",
    "full_content": "TEXT",
    "thinking_content": "TEXT",
}
LATER_TABLES = {
    "session_metadata": "session_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, "
    "updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (session_id, key)",
    "owned_files": "session_id TEXT NOT NULL, path TEXT NOT NULL, created_at TEXT, PRIMARY KEY (session_id, path)",
    "session_events": "id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, kind TEXT NOT NULL, "
    "payload TEXT NOT NULL, parent_tool_call_id TEXT, created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP",
}
ALL_LATER = frozenset({*LATER_SESSIONS, *LATER_MESSAGES, *LATER_TABLES})
_CACHES = {"cache_read_tokens", "cache_creation_tokens", "thinking_tokens"}
AGES = {
    "0.1.0": frozenset({"project_root"}),
    "0.1.2": frozenset({"project_root", "session_metadata", *_CACHES}),
    "0.1.3": frozenset({"project_root", "session_metadata", *_CACHES, "agent_name"}),
    "0.1.10": frozenset(
        {"project_root", "session_metadata", *_CACHES, "agent_name", "last_accessed_at", "compacted_at"}
    ),
    "0.2": ALL_LATER,
}
"""What each version has beyond the first columns; 0.2 stands for the newest that is known."""

HINT = "Your context was compacted. The previous message contains a summary of our earlier conversation."


class Koda:
    """A Koda that writes to a database of its own; each call commits."""

    def __init__(self, path: Path, *, later: Iterable[str] = ALL_LATER) -> None:
        self.path, self.later = path, frozenset(later)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self._create("sessions", {**SESSIONS, **self._only(LATER_SESSIONS)})
        self._create("messages", {**MESSAGES, **self._only(LATER_MESSAGES)})
        for name, columns in self._only(LATER_TABLES).items():
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        self.connection.execute("CREATE INDEX IF NOT EXISTS idx_messages_session_id ON messages(session_id)")

    def close(self) -> None:
        self.connection.close()

    def start(self, session_id: str | None = None, *, agent_name: str = "default", **columns: Any) -> str:
        session_id = session_id or str(uuid.uuid4())
        facts = {"project_root": "/home/ada/lamps", "created_at": "2026-03-01 09:00:00", **columns}
        self.insert("sessions", id=session_id, agent_name=agent_name, **facts)
        return session_id

    def say(self, session_id: str, role: str, content: str | None, **columns: Any) -> int:
        if isinstance(columns.get("tool_calls"), list):
            columns["tool_calls"] = json.dumps(columns["tool_calls"])
        facts = {"created_at": "2026-03-01 09:00:01", "completed_at": "2026-03-01 09:00:01", **columns}
        return self.insert("messages", session_id=session_id, role=role, content=content, **facts)

    def compact(self, session_id: str, *, preserve: int = 0, at: str = "2026-03-01 10:00:00") -> None:
        """Archive as Koda does: in one transaction, with the summary and its hint as the newest rows."""
        active = self.select("SELECT id FROM messages WHERE session_id = ? AND compacted_at IS NULL", session_id)
        ids = [row[0] for row in active][: len(active) - preserve]
        self.connection.execute("BEGIN")
        marks = ", ".join("?" * len(ids))
        self.connection.execute(f"UPDATE messages SET compacted_at = ? WHERE id IN ({marks})", (at, *ids))
        self.say(session_id, "system", "[Compacted conversation summary]\nLamps were counted.", created_at=at)
        self.say(session_id, "assistant", HINT, created_at=at)
        self.connection.execute("COMMIT")

    def purge(self) -> None:
        self.connection.execute("DELETE FROM messages WHERE compacted_at IS NOT NULL")
        self.connection.execute("VACUUM")

    def delete(self, session_id: str) -> None:
        for table, column in (("messages", "session_id"), ("session_metadata", "session_id"), ("sessions", "id")):
            self.connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (session_id,))

    def insert(self, table: str, **columns: Any) -> int:
        """Insert a row with those of `columns` that the table has in this version."""
        known = {row[1] for row in self.select(f"PRAGMA table_info({table})")}
        kept = {name: value for name, value in columns.items() if name in known}
        marks = ", ".join("?" * len(kept))
        cursor = self.connection.execute(
            f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", tuple(kept.values())
        )
        return int(cursor.lastrowid or 0)

    def update(self, sql: str, *values: Any) -> None:
        self.connection.execute(sql, values)

    def select(self, sql: str, *values: Any) -> list[Any]:
        return self.connection.execute(sql, values).fetchall()

    def _create(self, table: str, columns: dict[str, str]) -> None:
        named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({named})")

    def _only(self, later: dict[str, str]) -> dict[str, str]:
        return {name: kind for name, kind in later.items() if name in self.later}


def make_call(call_id: str, name: str = "Read", **arguments: Any) -> dict[str, str]:
    return {"id": call_id, "function_name": name, "arguments": json.dumps(arguments)}


def hold_turn(koda: Koda, session_id: str, *, number: int = 1) -> list[int]:
    """Write a whole turn: prompt, call, result, answer."""
    call_id = f"c{number}"
    return [
        koda.say(session_id, "user", f"Count the lamps, {number}"),
        koda.say(
            session_id, "assistant", None, tool_calls=[make_call(call_id, path="/x")], prompt_tokens=10,
            completion_tokens=3, cache_read_tokens=4, thinking_tokens=2,
        ),
        koda.say(session_id, "tool", "nine", tool_call_id=call_id),
        koda.say(session_id, "assistant", "Nine.", prompt_tokens=20, completion_tokens=5),
    ]  # fmt: skip


def send_scout(koda: Koda, parent: str, *, prompt: str = "Look north", call_id: str = "c1", **arguments: Any) -> None:
    call = make_call(call_id, "InvokeAgent", agent_name="scout", prompt=prompt, **arguments)
    koda.say(parent, "assistant", None, tool_calls=[call])


def make_scout(koda: Koda, *, prompt: str = "Look north", agent_name: str = "scout") -> str:
    child = koda.start(agent_name=agent_name)
    koda.say(child, "user", prompt)
    koda.say(child, "assistant", "Snow.")
    return child


def fill(koda: Koda) -> str:
    key = koda.start(title="Lamps", mode="auto")
    hold_turn(koda, key)
    hold_turn(koda, key, number=2)
    koda.compact(key, preserve=2)
    koda.insert("session_metadata", session_id=key, key="todo", value="- [x] count")
    koda.insert("owned_files", session_id=key, path="/x")
    koda.insert("session_events", session_id=key, kind="info", payload="Compacted")
    send_scout(koda, key, call_id="c9")
    make_scout(koda)
    return key
