"""Plain records of stores that change what they have told before: databases, unlike transcripts, do.

Change = ImportedArchive | ImportedExtent | ImportedLines | ImportedMetadata | ImportedFiles | ImportedEvents
         | ImportedTurn | ImportedCheckpoint | ImportedDate | ImportedRemoval
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedArchive:
    """Messages, old or new, that a compaction took out of the model's context at `at`."""

    session_key: str
    client_ids: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedExtent:
    """All rows that the store has of a session, of those it has numbered up to `newest_row`; the others are gone."""

    session_key: str
    rows: frozenset[int]
    newest_row: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedLines:
    """All messages that a file has of a session; others whose ids begin with `prefix` are gone."""

    session_key: str
    prefix: str
    client_ids: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedMetadata:
    """Values of a session, by key."""

    session_key: str
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedFiles:
    """All files that a session owns."""

    session_key: str
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedEvent:
    """Something that happened beside the messages; it is kept, and moves nothing."""

    event_id: str
    type: str
    payload: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedEvents:
    """Events of a session, oldest first."""

    session_key: str
    events: tuple[ImportedEvent, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedTurn:
    """A turn begins before the next message, or ended with the last one; an end of no known turn says nothing.

    An end without `turn_id` is that of any turn that runs.
    """

    session_key: str
    turn_id: str | None
    step: Literal["starts", "completed", "failed", "abandoned"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedCheckpoint:
    """A whole state of a session: JSON text as the store has it, whatever it is, or None."""

    session_key: str
    uuid: UUID
    parent: UUID | None = None
    state: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedDate:
    """When the store last changed a session; it comes after all that it changed."""

    session_key: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedRemoval:
    """The store was seen to have this session and has it no longer."""

    session_key: str


Change = (
    ImportedArchive
    | ImportedExtent
    | ImportedLines
    | ImportedMetadata
    | ImportedFiles
    | ImportedEvents
    | ImportedTurn
    | ImportedCheckpoint
    | ImportedDate
    | ImportedRemoval
)
