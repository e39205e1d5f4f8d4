"""How far whoever keeps something beside the log has followed it, and which numbers it has passed unseen.

On PostgreSQL an event gets its number before its transaction ends, so that a lower number may be there later than a
higher one. A number that is missing is waited for as long as one of those writes who wrote when it was missed: after
that it is there, or nobody will ever have it. Writers of SQLite come one after another, and nothing is missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from django.db import connection, models
from django.db.models import Q

from sessions.models.event import Event
from sessions.models.fields import WrittenJSONField

EVENTS_AT_ONCE = 5_000
"""Events of one look."""
GAPS_AT_MOST = 200
"""Gaps that are waited for at once; before one more the mark stands still until some are settled."""

_WRITERS = (
    "SELECT backend_xid::text::bigint FROM pg_stat_activity"
    " WHERE backend_xid IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What a look behind a mark found: up to which event, the sessions told of, and what is unseen from then on."""

    event: int
    sessions: set[int] = field(default_factory=set)
    unseen: list[dict[str, Any]] = field(default_factory=list)
    is_cut: bool = False
    """Whether more was there already, which one look does not take."""


class LogMark(models.Model):
    """One row a table, locked by whoever takes it on. Its first round goes over all sessions, by their number.

    `unseen` holds {"numbers": [[first, last], …], "writers": [transaction, …]}.
    """

    event = models.BigIntegerField(help_text="Changes up to this event of the whole log are known.")
    last_session = models.BigIntegerField(default=0, help_text="Sessions up to this one have had their first round.")
    revision = models.BigIntegerField(default=0, help_text="Grows with each addition.")
    unseen = WrittenJSONField(db_default=[], default=list, help_text="Events up to there that may yet come.")

    class Meta:
        """Only the columns."""

        abstract = True

    def __str__(self) -> str:
        """Return how far."""
        return f"events to {self.event}, sessions to {self.last_session}"

    @classmethod
    def begin(cls) -> None:
        """Make the mark behind all that is there: all sessions are new, and what happens meanwhile is told later.

        Who writes at this moment may have a number before it: until they are done the first round `is_waiting`.
        """
        newest, writers = _newest_event(), writers_now()
        unseen = [{"numbers": [], "writers": sorted(writers)}] if writers else []
        mark = cls(event=newest, unseen=unseen)
        mark.pk = 1
        cls._default_manager.bulk_create([mark], ignore_conflicts=True)

    @property
    def is_waiting(self) -> bool:
        """Say whether somebody who wrote when the mark was made still does."""
        return bool(not self.last_session and self.unseen and writers_now().intersection(_writers_of(self.unseen)))

    def is_held(self) -> bool:
        """Lock the row; say whether it is as it was read."""
        rows = type(self)._default_manager.select_for_update()  # noqa: SLF001 - Django's own
        return rows.filter(pk=self.pk, revision=self.revision).first() is not None

    def told(self) -> "models.QuerySet[Event]":
        """Return the events that are not known yet."""
        return Event.objects.filter(Q(pk__gt=self.event) | self._unseen).order_by()

    def look(self) -> Ahead | None:
        """Return what is told that is not known yet, the oldest first; None when there is nothing."""
        newest = _newest_event()
        if newest <= self.event and not self.unseen:
            return None
        # In this order: whoever is no longer among the writers has ended, and what they wrote is read.
        writers = writers_now()
        rows: Any = Event.objects.filter(pk__gt=self.event, pk__lte=newest).order_by("pk")
        rows = list(rows.values_list("pk", "session")[:EVENTS_AT_ONCE])
        late = list(Event.objects.filter(self._unseen).order_by("pk").values_list("pk", "session"))
        unseen = _still_unseen(self.unseen, [pk for pk, _ in late], writers)
        upper = rows[-1][0] if rows else self.event
        is_cut = len(rows) == EVENTS_AT_ONCE
        if writers:
            gaps = gaps_of([pk for pk, _ in rows], after=self.event)
            free = max(0, GAPS_AT_MOST - sum(len(one["numbers"]) for one in unseen))
            if len(gaps) > free:
                upper, is_cut = gaps[free][0] - 1, True
            unseen += [{"numbers": gaps[:free], "writers": sorted(writers)}] if gaps[:free] else []
        if upper == self.event and not late and unseen == self.unseen:
            return None
        told = {session for pk, session in (*late, *rows) if pk <= upper}
        return Ahead(event=upper, sessions=told, unseen=unseen, is_cut=is_cut)

    def take_on(self, ahead: Ahead | None, *, last_session: int) -> Self:
        """Note that this is known, too; it is not saved."""
        if ahead is not None:
            self.event, self.unseen = ahead.event, ahead.unseen
        self.last_session = max(self.last_session, last_session)
        return self

    def number(self, revision: int) -> None:
        """Take the number of an addition; it is not saved."""
        self.revision = revision

    @property
    def _unseen(self) -> Q:
        """Return the condition of the events that were missing."""
        found = Q(pk__in=[])
        for one in self.unseen:
            for first, last in one["numbers"]:
                found |= Q(pk__range=(first, last))
        return found


def writers_now() -> set[int]:
    """Return the transactions of others that write to this database at this moment, where several can."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return {writer for (writer,) in cursor.fetchall()}


def gaps_of(numbers: Sequence[int], *, after: int) -> list[list[int]]:
    """Return as [first, last] what is missing in these growing numbers, and between `after` and the first."""
    before = (after, *numbers)
    return [[low + 1, high - 1] for low, high in zip(before, numbers, strict=False) if high - low > 1]


def _still_unseen(unseen: Iterable[dict[str, Any]], seen: Sequence[int], writers: set[int]) -> list[dict[str, Any]]:
    """Return what may still come: not what is seen by now, and nothing of writers who have all ended."""
    found = []
    for one in unseen:
        numbers = [
            gap
            for first, last in one["numbers"]
            for gap in gaps_of([*(pk for pk in seen if first <= pk <= last), last + 1], after=first - 1)
        ]
        if numbers and writers.intersection(one["writers"]):
            found.append({"numbers": numbers, "writers": one["writers"]})
    return found


def _writers_of(unseen: Iterable[dict[str, Any]]) -> set[int]:
    return {writer for one in unseen for writer in one["writers"]}


def _newest_event() -> int:
    return Event.objects.aggregate(newest=models.Max("pk"))["newest"] or 0
