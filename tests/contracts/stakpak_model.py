"""Stakpak's SessionStorage told again, in plain Python without a database (contracts/stakpak.md 1 and 2)."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Step:
    """A checkpoint: `state` is its JSON text, letter by letter, `messages` that of each message in it."""

    id: str
    parent: str | None
    state: str
    messages: tuple[str, ...]


@dataclass
class Kept:
    owner: str
    title: str
    visibility: str
    cwd: str | None
    created_at: datetime
    updated_at: datetime
    steps: list[Step] = field(default_factory=list)
    deleted_at: datetime | None = None

    @property
    def status(self) -> str:
        return "DELETED" if self.deleted_at else "ACTIVE"

    def may_be_read_by(self, caller: str) -> bool:
        return caller == self.owner or self.visibility == "PUBLIC"

    def add(self, step: Step, now: datetime) -> None:
        self.steps.append(step)
        self.updated_at = now

    def update(self, title: str | None, visibility: str | None, now: datetime) -> None:
        wanted = (title or self.title, visibility or self.visibility)
        if wanted != (self.title, self.visibility):
            self.title, self.visibility = wanted
            self.updated_at = now

    def delete(self, now: datetime) -> None:
        if self.deleted_at is None:
            self.deleted_at = self.updated_at = now


def folded(text: str) -> str:
    """Return a text as a search compares it: ASCII letters in any case, all others as they are."""
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)


def listed(
    kept: dict[str, Kept], owner: str, *, status: str = "ACTIVE", visibility: str | None = None, search: str = ""
) -> list[str]:
    """Return the ids that the owner's list has, last changed first."""
    found = [
        name
        for name, session in kept.items()
        if session.owner == owner
        and status in {"ALL", session.status}
        and visibility in {None, session.visibility}
        and (not search or (session.title and folded(search) in folded(session.title)))
    ]
    return sorted(found, key=lambda name: kept[name].updated_at, reverse=True)
