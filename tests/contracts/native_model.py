"""What the native door promises (docs/api.md), told in plain Python: what is acknowledged is there, once, in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Said = tuple[str, str, str | None]
"""A message: role, content, the client's own id."""


@dataclass(frozen=True)
class Row:
    id: int
    role: str
    content: str
    client_id: str | None


@dataclass
class Kept:
    owner: str
    parent: str | None = None
    rows: list[Row] = field(default_factory=list)
    archived: set[int] = field(default_factory=set)
    """Ids of the messages that stand in no context any more, as the door told of them last."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """The events as they were read last."""
    event_ids: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    """The state of each checkpoint as JSON text, by its id."""
    prompts: list[int] = field(default_factory=list)
    """Commands that no agent has taken yet."""
    metadata: dict[str, str] = field(default_factory=dict)
    todo: str | None = None
    files: set[str] = field(default_factory=set)
    is_public: bool = False
    is_deleted: bool = False
    has_gaps: bool = False
    """Whether a purge took events out of the log."""

    def fresh(self, drafts: Sequence[Said]) -> list[Said]:
        """Return what of a batch is new: the first of each client id that is not there yet."""
        seen = {row.client_id for row in self.rows if row.client_id}
        found = []
        for draft in drafts:
            if draft[2] not in seen:
                found.append(draft)
                seen |= {draft[2]} if draft[2] else set()
        return found

    def unheard(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what of a batch of events is new."""
        seen, found = set(self.event_ids), []
        for event in events:
            name = event.get("event_id")
            if name not in seen:
                found.append(event)
                seen |= {name} if name else set()
        return found


class Store:
    """All sessions, by id; a fork is a child of what it was made of."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def below(self, session: str) -> list[str]:
        """Return a session and all that were made of it."""
        children = [name for name, kept in self.kept.items() if kept.parent == session]
        return [session, *(name for child in children for name in self.below(child))]

    def destroy(self, session: str) -> None:
        for name in self.below(session):
            del self.kept[name]

    def due(self, owner: str) -> list[str]:
        """Return the deleted sessions of a user below which nothing stays."""
        return [
            name
            for name, kept in self.kept.items()
            if kept.owner == owner and all(self.kept[one].is_deleted for one in self.below(name))
        ]


@dataclass(frozen=True)
class Logged:
    """A row of the log, as `Folded` takes it."""

    type: str
    turn_id: str | None
    payload: dict[str, Any]

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Logged":
        return cls(row["type"], row.get("turn_id"), row)
