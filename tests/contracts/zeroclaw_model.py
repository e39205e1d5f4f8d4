"""ZeroClaw's SessionBackend told again, in plain Python without a database (contracts/zeroclaw.md 1 and 7.1)."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count


@dataclass
class Row:
    number: int
    role: str
    content: str


@dataclass
class Kept:
    created_at: datetime
    last_activity: datetime
    rows: list[Row] = field(default_factory=list)
    name: str | None = None
    state: str = "idle"
    turn_id: str | None = None
    turn_started_at: datetime | None = None


def words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def has_phrase(text: str, phrase: list[str]) -> bool:
    found = words(text)
    return any(found[at : at + len(phrase)] == phrase for at in range(len(found)))


class Store:
    """All sessions of one source, by key."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self._numbers = count(1)

    def load(self, key: str) -> list[tuple[str, str]]:
        return [(row.role, row.content) for row in self.kept[key].rows] if key in self.kept else []

    def append(self, key: str, role: str, content: str, now: datetime) -> int:
        session = self.kept.setdefault(key, Kept(now, now))
        session.rows.append(Row(next(self._numbers), role, content))
        session.last_activity = now
        return len(session.rows)

    def remove_last(self, key: str) -> bool:
        if key not in self.kept or not self.kept[key].rows:
            return False
        self.kept[key].rows.pop()
        return True

    def update_last(self, key: str, role: str, content: str, now: datetime) -> bool:
        if key not in self.kept or not self.kept[key].rows:
            return False
        session = self.kept[key]
        session.rows[-1] = Row(session.rows[-1].number, role, content)
        session.last_activity = now
        return True

    def clear(self, key: str, now: datetime) -> int:
        cleared = len(self.load(key))
        if cleared:
            self.kept[key].rows.clear()
            self.kept[key].last_activity = now
        return cleared

    def keys(self) -> list[str]:
        return sorted(self.kept, key=lambda key: self.kept[key].last_activity, reverse=True)

    def delete(self, key: str) -> bool:
        return self.kept.pop(key, None) is not None

    def cleanup_stale(self, hours: int, now: datetime) -> list[str]:
        before = now - timedelta(hours=hours)
        stale = [key for key in reversed(self.keys()) if hours and self.kept[key].last_activity < before]
        for key in stale:
            del self.kept[key]
        return stale

    def set_name(self, key: str, name: str) -> None:
        if key in self.kept:
            self.kept[key].name = name or None

    def set_state(self, key: str, state: str, turn_id: str | None, now: datetime) -> None:
        if key in self.kept:
            session = self.kept[key]
            session.state, session.turn_id = state, turn_id
            session.turn_started_at = now if state == "running" else None

    def running(self) -> list[str]:
        starts = {key: kept.turn_started_at for key, kept in self.kept.items() if kept.turn_started_at}
        return sorted(starts, key=lambda key: starts[key], reverse=True)

    def stuck(self, seconds: int, now: datetime) -> list[str]:
        before = now - timedelta(seconds=seconds)
        starts = {key: self.kept[key].turn_started_at for key in self.running()}
        return [key for key in reversed(self.running()) if (start := starts[key]) and start < before]

    def search(self, keyword: str, limit: int) -> list[str]:
        phrases = [phrase for word in keyword.split() if (phrase := words(word))]
        first: dict[str, int] = {}
        for key, kept in self.kept.items():
            hits = [
                row.number
                for row in kept.rows
                if any(has_phrase(text, phrase) for phrase in phrases for text in (row.content, key))
            ]
            first |= {key: min(hits)} if hits else {}
        return sorted(first, key=lambda key: first[key])[:limit]
