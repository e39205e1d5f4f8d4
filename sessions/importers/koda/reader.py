"""A koda.db to records: all of it at first, then what has changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sessions.importers import fields
from sessions.importers.changes import (
    Change,
    ImportedArchive,
    ImportedEvents,
    ImportedExtent,
    ImportedFiles,
    ImportedMetadata,
    ImportedRemoval,
)
from sessions.importers.database import DatabaseReader
from sessions.importers.fields import JsonObject
from sessions.importers.koda import rows
from sessions.importers.koda.database import KodaDatabase
from sessions.importers.koda.errands import Errands
from sessions.importers.koda.turns import Turns
from sessions.importers.records import ImportedSession, Record, row_id

PAGE = 500
UNFINISHED_FOR = timedelta(hours=1)
"""An answer that was never completed is waited for this long; then it is what was left when its model was cut off."""

Pulled = Iterator[Record | Change]


@dataclass(slots=True)
class _Seen:
    """What was handed over of one session."""

    turns: Turns
    record: ImportedSession | None = None
    extent: tuple[int, int] = (0, 0)
    count: int = 0
    last_row: int = 0
    is_waiting: bool = False
    archived: set[int] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()


@dataclass(slots=True)
class _Beside:
    """What stands beside the messages, by session."""

    metadata: dict[object, dict[object, object]]
    files: dict[object, list[object]]
    events: dict[object, list[JsonObject]]

    def has(self, session_id: object) -> bool:
        """Say whether anything is kept of the session."""
        return session_id in self.metadata or session_id in self.files or session_id in self.events


class KodaReader(DatabaseReader[KodaDatabase]):
    """Reads one database, again and again. The order within a session is that of the row numbers."""

    opens = KodaDatabase

    def begin(self) -> None:
        """Stand before the first row."""
        self._seen: dict[object, _Seen] = {}
        self._empty: set[object] = set()
        self._errands = Errands()
        self._newest_event = 0
        self._is_live = False

    def pull(self, *, progress: Callable[[int], None] = lambda _count: None) -> Pulled:
        """Yield what is new. Raises `OSError` when the file is not there, `InvalidRequest` when it cannot be read."""
        database = self.opened()
        sessions, extents = database.sessions(), database.extents()
        beside = _Beside(database.metadata(), database.files(), database.events(after=self._newest_event))
        new = [row for row in sessions if row.get("id") not in self._seen]
        links = self._errands.links(database, [row for row in new if row.get("id") in extents])
        size, total = self.path.stat().st_size, sum(count for count, _ in extents.values()) or 1
        for row in sessions:
            session_id = row.get("id")
            if session_id in links:
                yield links[session_id]
            extent = extents.get(session_id, (0, 0))
            yield from self._session(database, row, extent=extent, beside=beside)
            progress(size * extent[0] // total)
        yield from self._gone({row.get("id") for row in sessions})
        self._count_passed_over(sessions, extents)
        self._is_live = True

    def _session(self, database: KodaDatabase, row: JsonObject, *, extent: tuple[int, int], beside: _Beside) -> Pulled:
        """Yield what is new of one session; one in which nothing was ever said or kept is passed over."""
        session_id, record = row.get("id"), rows.session(row)
        if session_id not in self._seen and extent == (0, 0) and not beside.has(session_id):
            self._empty.add(session_id)
            return
        seen = self._seen.setdefault(session_id, _Seen(Turns(record.key)))
        self._empty.discard(session_id)
        record = replace(record, is_title_derived=_is_title_derived(database, session_id, seen, title=record.title))
        if record != seen.record:
            seen.record = record
            yield record
        if extent != seen.extent or seen.is_waiting:
            yield from self._messages(database, session_id, seen, newest=extent[1])
            seen.extent = extent
        yield from self._beside(beside, session_id, seen, key=record.key)

    def _messages(self, database: KodaDatabase, session_id: object, seen: _Seen, *, newest: int) -> Pulled:
        """Yield the rows that are new; after a compaction, or when some are missing, also what became of the old."""
        must_compare = not self._is_live
        seen.is_waiting = False
        key = rows.session_key(session_id)
        while page := database.messages(session_id, after=seen.last_row, limit=PAGE):
            for row in page:
                if rows.is_unfinished(row) and _is_young(row) and fields.number_of(row) >= newest:
                    seen.is_waiting = True
                    break
                must_compare = must_compare or row.get("role") == "system"  # each compaction leaves a summary
                yield from seen.turns.before(row, is_live=self._is_live)
                yield rows.message(row, session_key=key, tally=self.tally)
                yield from seen.turns.after(row)
                seen.last_row = fields.number_of(row)
                seen.count += 1
                self.tally.lines += 1
            if seen.is_waiting or len(page) < PAGE:
                break
        newest_row = database.newest_row("messages")
        if must_compare or database.count(session_id) != seen.count + seen.is_waiting:
            yield from self._compared(database, session_id, seen, newest_row=newest_row)

    def _compared(self, database: KodaDatabase, session_id: object, seen: _Seen, *, newest_row: int) -> Pulled:
        """Yield which of the rows that were handed over are archived by now, and which are there at all."""
        present, key = database.present(session_id), rows.session_key(session_id)
        seen.count = sum(number <= seen.last_row for number in present)
        fresh = [
            (at, number)
            for number, text in present.items()
            if number <= seen.last_row and number not in seen.archived and (at := fields.moment(text))
        ]
        for at, group in groupby(sorted(fresh), key=lambda pair: pair[0]):
            numbers = [number for _, number in group]
            seen.archived.update(numbers)
            client_ids = tuple(row_id(rows.STORE, number) for number in numbers)
            yield ImportedArchive(session_key=key, client_ids=client_ids, at=at)
        yield ImportedExtent(session_key=key, rows=frozenset(present), newest_row=newest_row)

    def _beside(self, beside: _Beside, session_id: object, seen: _Seen, *, key: str) -> Pulled:
        """Yield the metadata, files and events that are new."""
        values = rows.values(beside.metadata.get(session_id, {}))
        if values != seen.values:
            seen.values = values
            yield ImportedMetadata(session_key=key, values=values)
        paths = rows.paths(beside.files.get(session_id, []))
        if paths != seen.paths:
            seen.paths = paths
            yield ImportedFiles(session_key=key, paths=paths)
        if events := beside.events.get(session_id):
            self._newest_event = max(self._newest_event, *map(fields.number_of, events))
            yield ImportedEvents(session_key=key, events=tuple(map(rows.event, events)))

    def _gone(self, session_ids: set[object]) -> Pulled:
        """Yield the sessions that this reader has seen and that are there no longer."""
        for session_id in [session_id for session_id in self._seen if session_id not in session_ids]:
            del self._seen[session_id]
            yield ImportedRemoval(session_key=rows.session_key(session_id))

    def _count_passed_over(self, sessions: list[JsonObject], extents: dict[object, tuple[int, int]]) -> None:
        """Note what was left out and why."""
        known = {row.get("id") for row in sessions}
        left_out = {
            "session in which nothing was said": len(self._empty),
            "message of no session": sum(count for owner, (count, _) in extents.items() if owner not in known),
            "answer that is not finished": sum(seen.is_waiting for seen in self._seen.values()),
        }
        self.pass_over(**left_out)


def _is_title_derived(database: KodaDatabase, session_id: object, seen: _Seen, *, title: str | None) -> bool:
    """Say whether a title is that of the first prompt; of one that stays the same the rows are asked once."""
    if title is None:
        return False
    if seen.record is not None and seen.record.title == title:
        return seen.record.is_title_derived
    first = database.first_prompt(session_id)
    return first is not None and rows.is_beginning(title, of=first[1])


def _is_young(row: JsonObject) -> bool:
    """Say whether the model may still be speaking."""
    written_at = fields.moment(row.get("created_at"))
    return written_at is not None and datetime.now(UTC) - written_at < UNFINISHED_FOR
