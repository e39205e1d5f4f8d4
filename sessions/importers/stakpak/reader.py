"""A local.db to records: all at first, then what is new. Never raises over what a row holds."""

import uuid as uuids
from collections.abc import Callable, Iterator
from datetime import datetime

from sessions.importers import fields
from sessions.importers.changes import Change, ImportedCheckpoint, ImportedDate, ImportedRemoval
from sessions.importers.database import DatabaseReader, ForeignDatabase
from sessions.importers.fields import JsonObject
from sessions.importers.records import ImportedSession, Record

AGENT = "stakpak"
SESSION_COLUMNS = ("id", "title", "visibility", "status", "cwd", "created_at", "updated_at")

Pulled = Iterator[Record | Change]


class StakpakDatabase(ForeignDatabase):
    """Reads of one local.db; status and cwd came later, as did the table of migrations."""

    program = "Stakpak"
    needed = {  # noqa: RUF012
        "sessions": frozenset({"id", "title", "created_at"}),
        "checkpoints": frozenset({"id", "session_id", "state", "created_at"}),
    }

    def sessions(self) -> list[JsonObject]:
        """Return all sessions, in the order in which they were written."""
        return self.rows("sessions", SESSION_COLUMNS, "ORDER BY rowid")

    def checkpoints(self, *, after: int) -> list[JsonObject]:
        """Return the checkpoints after a row, without their states."""
        sql = (
            "SELECT rowid AS row, id, session_id, parent_id, created_at FROM checkpoints WHERE rowid > ? ORDER BY rowid"
        )
        return [dict(row) for row in self.all(sql, (after,))]

    def state(self, row: int) -> str | None:
        """Return the state in a row as it stands there; a number or bytes as text."""
        found = self.all("SELECT state FROM checkpoints WHERE rowid = ?", (row,))
        value = found[0][0] if found else None
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        return None if value is None else str(value)


class StakpakReader(DatabaseReader[StakpakDatabase]):
    """Reads one database, and knows how far it has come."""

    opens = StakpakDatabase

    def begin(self) -> None:
        """Stand before the first row."""
        self._newest_row = 0
        self._seen: dict[str, ImportedSession] = {}
        self._dates: dict[str, datetime] = {}
        self._removed: set[str] = set()

    def pull(self, *, progress: Callable[[int], None] = lambda _count: None) -> Pulled:
        """Yield what is new, each session before its checkpoints, those in the order of their time.

        Raises `OSError` when the file is not there, `InvalidRequest` when it cannot be read.
        """
        database = self.opened()
        fresh: dict[object, list[JsonObject]] = {}
        for row in database.checkpoints(after=self._newest_row):
            fresh.setdefault(row["session_id"], []).append(row)
        rows = database.sessions()
        for row in rows:
            yield from self._session(database, row, fresh.pop(row.get("id"), []))
            progress(self.path.stat().st_size // max(1, len(rows)))
        if lost := sum(map(len, fresh.values())):
            self.tally.passed_over["checkpoint of no session"] += lost

    def _session(self, database: StakpakDatabase, row: JsonObject, checkpoints: list[JsonObject]) -> Pulled:
        record = session_of(row)
        is_new = record.key not in self._seen
        is_changed = bool(checkpoints) or self._seen.get(record.key) != record
        if self._seen.get(record.key) != record:
            self._seen[record.key] = record
            self.tally.lines += is_new
            yield record
        if is_new and not checkpoints:  # one without a state would make lists unreadable for the client
            root = uuids.uuid5(uuids.NAMESPACE_URL, f"{record.key}/root")
            yield ImportedCheckpoint(session_key=record.key, uuid=root, state='{"messages":[]}', at=record.created_at)
        for checkpoint in sorted(checkpoints, key=lambda one: _order(one, record)):
            yield self._checkpoint(database, checkpoint, record)
        updated_at = fields.moment(row.get("updated_at"))
        if updated_at is not None and (is_changed or updated_at != self._dates.get(record.key)):
            self._dates[record.key] = updated_at
            yield ImportedDate(session_key=record.key, at=updated_at)
        is_deleted = _word(row.get("status"), {"ACTIVE", "DELETED"}, default="ACTIVE") == "DELETED"
        if is_deleted and record.key not in self._removed:
            self._removed.add(record.key)
            yield ImportedRemoval(session_key=record.key)

    def _checkpoint(self, database: StakpakDatabase, row: JsonObject, record: ImportedSession) -> ImportedCheckpoint:
        number = int(str(row["row"]))
        self._newest_row = max(self._newest_row, number)
        self.tally.lines += 1
        at = fields.moment(row.get("created_at")) or record.created_at
        self.tally.saw(at)
        parent = row.get("parent_id")
        return ImportedCheckpoint(
            session_key=record.key,
            uuid=uuid_of(row.get("id")),
            parent=None if parent is None else uuid_of(parent),
            state=database.state(number),
            at=at,
        )


def session_of(row: JsonObject) -> ImportedSession:
    """Return the session of a row; unknown words are read as its own program reads them."""
    return ImportedSession(
        key=fields.identifier(str(row.get("id"))) or "?",
        uuid=uuid_of(row.get("id")),
        agent_name=AGENT,
        project_root=fields.identifier(row.get("cwd"), longest=fields.LONGEST_PATH),
        title=fields.identifier(row.get("title"), longest=fields.LONGEST_TITLE),
        visibility=_word(row.get("visibility"), {"PRIVATE", "PUBLIC"}, default="PRIVATE"),
        created_at=fields.moment(row.get("created_at")),
        is_settled=True,
    )


def uuid_of(text: object) -> uuids.UUID:
    """Return the id that a text is; one that is none gets an id made of it, always the same."""
    try:
        return uuids.UUID(str(text))
    except ValueError:
        return uuids.uuid5(uuids.NAMESPACE_URL, str(text))


def _word(value: object, words: set[str], *, default: str) -> str:
    word = str(value).upper()
    return word if word in words else default


def _order(row: JsonObject, record: ImportedSession) -> tuple[float, int]:
    at = fields.moment(row.get("created_at")) or record.created_at
    return (at.timestamp() if at else 0.0, int(str(row["row"])))
