"""A sessions.db to records: all of it at first, then what has changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sessions.importers import fields
from sessions.importers.changes import Change, ImportedExtent, ImportedMetadata, ImportedRemoval, ImportedTurn
from sessions.importers.database import DatabaseReader
from sessions.importers.fields import JsonObject
from sessions.importers.records import ImportedSession, Record
from sessions.importers.zeroclaw import rows
from sessions.importers.zeroclaw.database import ZeroClawDatabase

PAGE = 500
RUNS_AT_MOST = timedelta(hours=1)
"""A turn that began longer ago when we first look is what a crash left behind: ZeroClaw never clears it."""

Pulled = Iterator[Record | Change]


@dataclass(slots=True)
class _Seen:
    """What was handed over of one session. `born` and `activity` are texts as the database has them."""

    born: object
    record: ImportedSession | None = None
    first_prompt: object = None
    extent: tuple[int, int] = (0, 0)
    activity: object = None
    last_row: int = 0
    count: int = 0
    turn: tuple[object, object] | None = None
    values: dict[str, str] | None = None


class ZeroClawReader(DatabaseReader[ZeroClawDatabase]):
    """Reads one database, again and again. The order within a session is that of the row numbers."""

    opens = ZeroClawDatabase

    def begin(self) -> None:
        """Stand before the first row."""
        self._seen: dict[object, _Seen] = {}
        self._empty: set[object] = set()
        self._newest_row = 0
        self._is_live = False

    def pull(self, *, progress: Callable[[int], None] = lambda _count: None) -> Pulled:
        """Yield what is new. Raises `OSError` when the file is not there, `InvalidRequest` when it cannot be read."""
        database = self.opened()
        newest_row = database.newest_row("sessions")
        if newest_row < self._newest_row:  # Numbers never fall: an older copy has taken its place.
            self.begin()
        self._newest_row = newest_row
        sessions, extents = database.sessions(), database.extents()
        size, total = self.path.stat().st_size, sum(count for count, _ in extents.values()) or 1
        for row in sessions:
            extent = extents.get(row["session_key"], (0, 0))
            yield from self._session(database, row, extent=extent)
            progress(size * extent[0] // total)
        known = {row["session_key"] for row in sessions}
        for key in [key for key in self._seen if key not in known]:
            del self._seen[key]
            yield ImportedRemoval(session_key=rows.session_key(key))
        self._empty &= known
        self.pass_over(
            **{
                "session in which nothing was said": len(self._empty),
                "message of no session": sum(count for key, (count, _) in extents.items() if key not in known),
            }
        )
        self._is_live = True

    def _session(self, database: ZeroClawDatabase, row: JsonObject, *, extent: tuple[int, int]) -> Pulled:
        """Yield what is new of one session; one in which nothing was ever said is passed over."""
        key, born = row["session_key"], row.get("created_at")
        seen = self._seen.get(key)
        if seen is None or seen.born != born:  # Deleted and begun anew under the same key.
            if extent == (0, 0):
                self._empty.add(key)
                yield from self._emptied(row)
                return
            seen = self._seen[key] = _Seen(born)
        self._empty.discard(key)
        if seen.first_prompt is None and extent != seen.extent:
            seen.first_prompt = database.first_prompt(key)
        record = rows.session(row, first_prompt=seen.first_prompt)
        if record != seen.record:
            seen.record = record
            yield record
        yield from self._turn_starts(seen, row, key=record.key)
        activity = row.get("last_activity")
        if extent != seen.extent or activity != seen.activity:
            yield from self._messages(database, key, seen, is_active=activity != seen.activity)
            seen.extent, seen.activity = extent, activity
        yield from self._turn_ends(seen, row, key=record.key)
        values = rows.metadata(row)
        if values != (seen.values or {}):
            seen.values = values
            yield ImportedMetadata(session_key=record.key, values=values)

    def _emptied(self, row: JsonObject) -> Pulled:
        """Yield that nothing is left of a session which an earlier import may have brought."""
        if not self._is_live:
            record = replace(rows.session(row, first_prompt=None), is_empty=True)
            yield record
            yield ImportedExtent(session_key=record.key, rows=frozenset(), newest_row=self._newest_row)

    def _messages(self, database: ZeroClawDatabase, key: object, seen: _Seen, *, is_active: bool) -> Pulled:
        """Yield the rows that are new, before them the last old one, which may say something else; and what is gone."""
        session_key = rows.session_key(key)
        after = max(0, seen.last_row - 1) if is_active else seen.last_row
        while page := database.messages(key, after=after, limit=PAGE):
            for row in page:
                after = fields.number_of(row)
                yield rows.message(row, session_key=session_key)
                if after > seen.last_row:
                    seen.last_row = after
                    seen.count += 1
                    self.tally.lines += 1
            if len(page) < PAGE:
                break
        if not self._is_live or database.count(key) != seen.count:
            newest_row = database.newest_row("sessions")
            present = database.present(key)
            seen.count = sum(number <= seen.last_row for number in present)
            yield ImportedExtent(session_key=session_key, rows=present, newest_row=newest_row)

    def _turn_starts(self, seen: _Seen, row: JsonObject, *, key: str) -> Iterator[ImportedTurn]:
        """Yield the turn that has begun; only of what happens now, since history has no clock."""
        turn = (row.get("turn_id"), row.get("turn_started_at"))
        if not self._is_live or row.get("state") != "running" or turn == seen.turn:
            return
        started_at = fields.moment(turn[1])
        if started_at is not None and datetime.now(UTC) - started_at < RUNS_AT_MOST:
            seen.turn = turn
            yield ImportedTurn(session_key=key, turn_id=_turn_id(turn), step="starts")

    def _turn_ends(self, seen: _Seen, row: JsonObject, *, key: str) -> Iterator[ImportedTurn]:
        """Yield the end of the turn that was told of; at first look, of any that an earlier import told of."""
        if row.get("state") == "running" or (self._is_live and seen.turn is None):
            return
        turn_id = _turn_id(seen.turn) if seen.turn else None
        seen.turn = None
        has_failed = row.get("state") == "error"
        yield ImportedTurn(session_key=key, turn_id=turn_id, step="failed" if has_failed else "completed")


def _turn_id(turn: tuple[object, object]) -> str:
    """Return the id of a turn; one without is called by its start."""
    return fields.identifier(turn[0]) or f"{rows.STORE}:{turn[1]}"
