"""How much is kept, by source and project: measured session by session as they change, and summed on reading."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction

from sessions.models import Checkpoint, CheckpointPiece, Event, Footprint, Message, Session
from sessions.models.footprint import FIGURES
from sessions.models.message import octets_of

EVENTS_AT_ONCE = 5_000
"""Events of one look: the sessions that they tell of are measured."""
SESSIONS_AT_ONCE = 200
"""Sessions that one query measures at most."""
OVERLAP = 1_000
"""Events before the mark that are looked at again: on PostgreSQL a lower number may be committed after a higher one."""
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
    end = time.monotonic() + seconds
    done = _measure_new(end)
    while True:
        mark = Footprint.objects.newest_mark()
        newest = Event.objects.aggregate(newest=models.Max("pk"))["newest"] or 0
        if newest <= mark:
            return done
        upper = min(newest, mark + EVENTS_AT_ONCE)
        told = Event.objects.filter(pk__gt=mark - OVERLAP, pk__lte=upper).order_by()
        # Asked for the distinct ones SQLite reads an index of the whole log.
        ids = sorted(set(told.values_list("session", flat=True)))
        if not ids:  # Numbers of events that are gone: go on behind them.
            upper = Event.objects.filter(pk__gt=mark).aggregate(next=models.Min("pk"))["next"] or newest
            ids = list(Event.objects.filter(pk=upper).values_list("session", flat=True))
        for start in range(0, len(ids), SESSIONS_AT_ONCE):
            is_last = start + SESSIONS_AT_ONCE >= len(ids)  # An interruption before it lets all be looked at again.
            done += _measure(ids[start : start + SESSIONS_AT_ONCE], mark=upper if is_last else mark)
        if time.monotonic() >= end:
            return done


def mismeasured(ids: Sequence[int]) -> list[Mismeasured]:
    """Return the figures of these sessions that differ from their records, in six queries; nothing is changed.

    What `measure` would measure anyway may be among them: call it before.
    """
    old = Footprint.objects.in_bulk(ids)
    return [
        Mismeasured(session_id=new.pk, figure=name, kept=getattr(old[new.pk], name), measured=getattr(new, name))
        for new in _footprints(ids, mark=0)
        if new.pk in old
        for name in MEASURED
        if getattr(old[new.pk], name) != getattr(new, name)
    ]


def measure_again(ids: Sequence[int]) -> None:
    """Measure these sessions although nothing told of a change."""
    _measure(ids, mark=Footprint.objects.newest_mark())


def _measure_new(end: float) -> int:
    """Measure sessions that were never measured, without reading the log from its beginning; return how many."""
    if Session.objects.count() <= Footprint.objects.count():
        return 0
    # What happens meanwhile is told behind this mark.
    mark = Footprint.objects.newest_mark() or Event.objects.aggregate(newest=models.Max("pk"))["newest"] or 0
    done = 0
    while time.monotonic() < end:
        rows = Session.objects.filter(footprint=None).order_by("pk")
        ids = list(rows.values_list("pk", flat=True)[:SESSIONS_AT_ONCE])
        measured = _measure(ids, mark=mark) if ids else 0
        done += measured
        if not measured:
            break
    return done


def _measure(ids: Sequence[int], *, mark: int, tries: int = 3) -> int:
    """Measure some sessions anew; return how many there were."""
    footprints = _footprints(ids, mark=mark)
    changing = [field.name for field in Footprint._meta.concrete_fields if not field.primary_key]  # noqa: SLF001
    try:
        with transaction.atomic():
            Footprint.objects.bulk_create(
                footprints, update_conflicts=True, unique_fields=["session"], update_fields=changing
            )
    except IntegrityError:  # One was destroyed meanwhile.
        return _measure(ids, mark=mark, tries=tries - 1) if tries > 1 else 0
    return len(footprints)


def _footprints(ids: Sequence[int], *, mark: int) -> list[Footprint]:
    """Return the footprints that some sessions have now, not saved."""
    messages = _by_session(
        Message, ids, ("content", "thinking", "tool_calls"),
        archived=models.Count("pk", filter=models.Q(compacted_at__isnull=False)),
        archived_size=models.Sum(
            octets_of("content", "thinking", "tool_calls"), filter=models.Q(compacted_at__isnull=False), default=0
        ),
    )  # fmt: skip
    events = _by_session(Event, ids, ("payload",))
    checkpoints = _by_session(Checkpoint, ids, ("rest",))
    pieces = _by_session(CheckpointPiece, ids, ("text",))
    nothing: dict[str, int] = {}
    sessions = Session.objects.filter(pk__in=ids).only("owner_id", "source", "project_root", "status", "created_at")
    return [
        Footprint(
            session=session,
            owner_id=session.owner_id,
            source=session.source,
            project_root=session.project_root or "",
            is_deleted=session.is_deleted,
            message_count=messages.get(session.pk, nothing).get("count", 0),
            archived_count=messages.get(session.pk, nothing).get("archived", 0),
            checkpoint_count=checkpoints.get(session.pk, nothing).get("count", 0),
            size=sum(
                found.get(session.pk, nothing).get("size", 0) for found in (messages, events, checkpoints, pieces)
            ),
            archived_size=messages.get(session.pk, nothing).get("archived_size", 0),
            born_at=session.created_at,
            event_mark=mark,
        )
        for session in sessions
    ]


def _by_session(
    model: type[models.Model], ids: Sequence[int], columns: Sequence[str], **more: Any
) -> dict[int, dict[str, int]]:
    """Return by session how many rows it has and how many bytes of text are in their columns."""
    rows = model._base_manager.filter(session__in=ids).order_by().values("session")  # noqa: SLF001 - Django's own
    figures = rows.annotate(count=models.Count("pk"), size=models.Sum(octets_of(*columns), default=0), **more)
    return {row["session"]: row for row in figures}
