"""A `<key>.jsonl` to records: a session a file, `role` and `content` a line, and no times.

ZeroClaw takes a last line back by writing the file anew. So a line is known by what it says and how often that was
said before, and once a file was read from its start, what it lacks is gone.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from sessions.importers import fields
from sessions.importers.changes import Change, ImportedLines
from sessions.importers.fields import JsonObject
from sessions.importers.lines import objects
from sessions.importers.records import ImportedMessage, ImportedSession, Record, Tally
from sessions.importers.zeroclaw import rows

PREFIX = "line:"
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_LOOKED_AT = 20
"""Lines among which the first that can be read stands."""


def recognises_lines(path: Path, *, head: bytes) -> bool:
    """Say whether the file is one of ZeroClaw's: the first line that can be read has role and content, nothing else."""
    if path.suffix != ".jsonl":
        return False
    lines = head.split(b"\n", _LOOKED_AT)[:_LOOKED_AT]
    first = next((record for line in lines for record in objects(line, tally=Tally())), {})
    return first.keys() == {"role", "content"} and _is_message(first)


class JsonlReader:
    """Reads one file as it grows."""

    def __init__(self, path: Path) -> None:
        """Begin before the first line."""
        self.tally = Tally()
        self._path = path
        self._key = rows.session_key(_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), path.stem))
        self._times: Counter[str] = Counter()
        self._ids: list[str] = []
        self._is_begun = self._is_compared = False

    def read(self, lines: Iterable[bytes]) -> Iterator[Record | Change]:
        """Yield the records of the next whole lines; all are of the time at which the file was last written."""
        at = self._written_at()
        for line in lines:
            for record in objects(line, tally=self.tally):
                if not _is_message(record):
                    self.tally.passed_over["line without role and content"] += 1
                    continue
                if not self._is_begun:
                    self._is_begun = True
                    yield ImportedSession(key=self._key, agent_name=rows.AGENT, created_at=at, owns_key=True)
                yield self._message(record, at)

    def settle(self) -> Iterator[Record | Change]:
        """Yield, once, which lines the file has."""
        if self._is_begun and not self._is_compared:
            self._is_compared = True
            yield ImportedLines(session_key=self._key, prefix=PREFIX, client_ids=frozenset(self._ids))

    def _message(self, record: JsonObject, at: datetime | None) -> ImportedMessage:
        role, content = fields.role(record["role"]), fields.written(record["content"])
        digest = hashlib.sha256(f"{role}\n{content}".encode(errors="replace")).hexdigest()[:24]
        self._times[digest] += 1
        client_id = f"{PREFIX}{digest}.{self._times[digest]}"
        self._ids.append(client_id)
        base = ImportedMessage(session_key=self._key, client_id=client_id, role="", kind="notice", created_at=at)
        return rows.spoken(role=role, content=content, base=base)

    def _written_at(self) -> datetime | None:
        try:
            return datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        except OSError:
            return None


def _is_message(record: JsonObject) -> bool:
    return isinstance(record.get("role"), str) and isinstance(record.get("content"), str)
