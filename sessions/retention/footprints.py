"""How much is kept, by source and project: measured session by session as they change, and summed on reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sessions.following import Follower
from sessions.models import Footprint, FootprintMark
from sessions.models.footprint import FIGURES
from sessions.retention import measuring

SHELVES_SHOWN = 20
MEASURED = ("message_count", "archived_count", "checkpoint_count", "size", "archived_size")
"""The figures of a footprint; all else in it is the session's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What is kept of one project of one source, or of all. Sizes in bytes; `oldest` began first."""

    source: str = ""
    project_root: str = ""
    session_count: int = 0
    deleted_count: int = 0
    messages: int = 0
    archived: int = 0
    checkpoints: int = 0
    bytes: int = 0
    archived_bytes: int = 0
    oldest: datetime | None = None

    def __add__(self, other: "Shelf") -> "Shelf":
        """Return both together, under this one's names."""
        numbers = (name for name in FIGURES if name != "oldest")
        sums = {name: int(getattr(self, name)) + int(getattr(other, name)) for name in numbers}
        oldest = min((one for one in (self.oldest, other.oldest) if one is not None), default=None)
        return Shelf(source=self.source, project_root=self.project_root, oldest=oldest, **sums)

    @property
    def project_name(self) -> str:
        """Return the last two parts of the project's path: they tell more than its beginning."""
        parts = self.project_root.replace("\\", "/").rstrip("/").split("/")
        return "/".join(parts[-2:]) or self.project_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept in all, and the largest shelves of it; `more` shelves are not among them."""

    all: Shelf
    shelves: list[Shelf]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismeasured:
    """A figure of a session's footprint that is not what its records say."""

    session_id: int
    figure: str
    kept: int
    measured: int


def kept(owner_id: int | None) -> Kept:
    """Return what is kept of one owner's sessions, or with None of everybody's, in one query."""
    rows: Any = Footprint.objects.all() if owner_id is None else Footprint.objects.filter(owner=owner_id)
    # By owner first, in the order of the index: grouped otherwise a database would sort all footprints.
    groups = rows.order_by().values_list("owner", "source", "project_root").annotate(**FIGURES)
    shelves: dict[tuple[str, str], Shelf] = {}
    everything = Shelf()
    for _, source, project_root, *figures in groups:
        found = Shelf(source=source, project_root=project_root, **dict(zip(FIGURES, figures, strict=True)))
        known = shelves.get((source, project_root))
        shelves[source, project_root] = known + found if known else found
        everything += found
    ranked = sorted(shelves.values(), key=lambda shelf: (-shelf.bytes, shelf.source, shelf.project_root))
    return Kept(all=everything, shelves=ranked[:SHELVES_SHOWN], more=max(0, len(ranked) - SHELVES_SHOWN))


def measure(*, seconds: float = 1.0) -> int:
    """Measure the sessions that changed, until none is left or `seconds` have passed; return how many.

    The keeper calls this again and again. It reads, and writes one row a session.
    """
    return _FOOTPRINTS.catch_up(seconds=seconds)


def mismeasured(ids: Sequence[int]) -> list[Mismeasured]:
    """Return the figures of these sessions that differ from their records, all of which are read; nothing is changed.

    What `measure` would measure anyway may be among them: call it before.
    """
    old = Footprint.objects.in_bulk(ids)
    return [
        Mismeasured(session_id=new.pk, figure=name, kept=getattr(old[new.pk], name), measured=getattr(new, name))
        for new in measuring.footprints_anew(ids)
        if new.pk in old
        for name in MEASURED
        if getattr(old[new.pk], name) != getattr(new, name)
    ]


def measure_again(ids: Sequence[int]) -> None:
    """Measure all of these sessions anew although nothing told of a change.

    Raises `Unavailable`, or what the database refuses.
    """
    _FROM_THE_FIRST.keep_again(ids)


def _write(footprints: list[Footprint]) -> None:
    """Keep these footprints. The caller holds the mark."""
    changing = [field.name for field in Footprint._meta.concrete_fields if not field.primary_key]  # noqa: SLF001
    Footprint.objects.bulk_create(footprints, update_conflicts=True, unique_fields=["session"], update_fields=changing)


_FOOTPRINTS = Follower(name="sizes", marks=FootprintMark, read=measuring.footprints, write=_write)
_FROM_THE_FIRST = Follower(name="sizes", marks=FootprintMark, read=measuring.footprints_anew, write=_write)
