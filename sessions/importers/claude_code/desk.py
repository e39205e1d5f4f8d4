"""What every kind of line needs at hand while it is turned into records."""

import hashlib
from dataclasses import dataclass

from sessions.importers.claude_code.errands import Errands
from sessions.importers.claude_code.prompts import ROLES
from sessions.importers.claude_code.thread import Thread
from sessions.importers.fields import JsonObject, identifier, moment
from sessions.importers.records import ImportedMessage, Kind, Tally


@dataclass(frozen=True, slots=True)
class Desk:
    """The counts of one file and the calls that wait for their sub-agents."""

    tally: Tally
    errands: Errands

    def line_id(self, line: JsonObject, thread: Thread) -> str | None:
        """Return the line's id within its thread; None, and counted, when the same line stood there before."""
        given = identifier(line.get("uuid")) or f"line-{digest(line)}"
        unique = thread.unique_id(given, line=repr(line))
        if unique is None:
            self.tally.repeated_lines += 1
        return unique


def message(line: JsonObject, thread: Thread, *, kind: Kind, client_id: str, content: str) -> ImportedMessage:
    """Return a message without calls or results."""
    return ImportedMessage(
        session_key=thread.key,
        client_id=client_id,
        role=ROLES[kind],
        kind=kind,
        content=content,
        created_at=moment(line.get("timestamp")),
    )


def digest(value: object) -> str:
    """Return a short name for a value that has none of its own; the same for the same value."""
    return hashlib.sha256(repr(value).encode("utf-8", errors="replace")).hexdigest()[:24]
