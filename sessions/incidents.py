"""One incident for a source that vanishes, not one alarm for each of its sessions (LIVENESS.md, "How it is found", 5).

`incidents` is pure; `ongoing` and `ongoing_of` read what they need in three queries, whatever the number of sessions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import or_
from typing import Any

from django.db.models import Count, Q, QuerySet

from sessions.liveness import DEFAULT_INTERVAL, QUIET_AFTER_INTERVALS, SILENT
from sessions.models import Liveness, Needs, Session
from sessions.models.among import Among, joined
from sessions.models.prepared import Place as Given
from sessions.models.prepared import known, prepared
from sessions.models.session_rows import SessionQuerySet
from sessions.models.watched import ADRIFT

AT_LEAST = 3
"""Fewer silent sessions are told one by one."""
WINDOW = timedelta(minutes=5)
"""Sessions that were last heard from within this of one another fell silent together.

As long as the usual threshold: agents without heartbeats speak seldom, so that the last words of those that one
sleeping laptop took down lie minutes apart.
"""
SILENT_AFTER = QUIET_AFTER_INTERVALS * DEFAULT_INTERVAL
"""Whoever was heard from more recently is not silent, though its heartbeats may bring no progress."""
MOST_SOURCES = 100
MOST_SILENCES = 5000

Place = tuple[int, str]
"""An owner's id and one of their sources: one installation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A running session that waits for nobody and of which nothing was heard for a while."""

    session_id: int
    place: Place
    liveness: str
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Most of one installation's running sessions fell silent together."""

    owner_id: int
    source: str
    since: datetime
    """When the last of them was heard from: from then on there was nothing."""
    sessions: tuple[int, ...]
    """Their primary keys, in order."""
    running: int
    """How many sessions of this installation run and wait for nobody, the silent ones included."""
    first_since: datetime | None = None
    """When as many had fallen silent as make an incident, if that was before `since`; others have joined them later."""

    @property
    def began_at(self) -> datetime:
        """Return since when it is one and the same: a session that joins does not begin it anew."""
        return self.first_since or self.since

    @property
    def count(self) -> int:
        """Return how many fell silent."""
        return len(self.sessions)


def incidents(silences: Iterable[Silence], *, running: Mapping[Place, int], now: datetime) -> list[Incident]:
    """Return the incidents among `silences`, the oldest first; `running` counts the running sessions of each place.

    An incident has more than half of its place's running sessions, at least `AT_LEAST`, last heard from within
    `WINDOW` of one another, and at least one of them is stuck or lost: being quiet alone is no news.
    """
    silent = [silence for silence in silences if now - silence.heard_at >= SILENT_AFTER]
    silent.sort(key=lambda silence: (silence.place, silence.heard_at, silence.session_id))
    found = []
    for place, group in groupby(silent, key=lambda silence: silence.place):
        together = _largest_window(list(group))
        is_most = len(together) >= AT_LEAST and 2 * len(together) > running.get(place, 0)
        if is_most and any(silence.liveness in {Liveness.STUCK, Liveness.LOST} for silence in together):
            pks = tuple(sorted(silence.session_id for silence in together))
            owner_id, source = place
            found.append(
                Incident(
                    owner_id=owner_id, source=source, since=together[-1].heard_at, sessions=pks,
                    running=running[place], first_since=together[AT_LEAST - 1].heard_at,
                )
            )  # fmt: skip
    return sorted(found, key=lambda incident: (incident.since, incident.owner_id, incident.source))


def _largest_window(silences: list[Silence]) -> list[Silence]:
    """Return the most of these, which are in the order of their last words, that lie within one window."""
    best: list[Silence] = []
    first = 0
    for last, silence in enumerate(silences):
        while silence.heard_at - silences[first].heard_at > WINDOW:
            first += 1
        if last + 1 - first >= len(best):  # of two equal ones, the later
            best = silences[first : last + 1]
    return best


def ongoing(owner_id: int | None, *, now: datetime) -> list[Incident]:
    """Return the incidents among the sessions that somebody sees who is confined to this owner's (`confined_to`)."""
    viewer = known(owner_id)
    return _ongoing_at(_adrift_places(*viewer), viewer, now)


def ongoing_of(owners: Iterable[int], *, now: datetime) -> list[Incident]:
    """Return the incidents among the sessions of these owners."""
    return _ongoing_at(_adrift_places_of(joined(owners)), [], now)


def _ongoing_at(places: Sequence[Place], viewer: list[int], now: datetime) -> list[Incident]:
    """Return the incidents at these places, as the viewer sees them."""
    if not places:
        return []
    pairs, count = [value for place in places for value in place], len(places)
    rows = _silent(now - SILENT_AFTER, *pairs, *viewer, count=count)
    return incidents(
        (
            Silence(session_id=pk, place=(owner, source), liveness=liveness, heard_at=heard_at)
            for pk, owner, source, liveness, heard_at in rows
        ),
        running={(owner, source): running for owner, source, running in _running(*pairs, *viewer, count=count)},
        now=now,
    )


@prepared
def _adrift_places(owner_id: Given | None = None) -> "QuerySet[Session, tuple[int, str]]":
    return _places_of(_candidates(owner_id).filter(ADRIFT))


@prepared
def _adrift_places_of(owner_ids: Given) -> "QuerySet[Session, tuple[int, str]]":
    return _places_of(_candidates(None).filter(ADRIFT, Among("owner", owner_ids)))


def _places_of(sessions: SessionQuerySet) -> "QuerySet[Session, tuple[int, str]]":
    return sessions.values_list("owner_id", "source").distinct()[:MOST_SOURCES]


@prepared
def _running(*values: Given, count: int) -> "QuerySet[Session, tuple[int, str, int]]":
    return _there(values, count).values_list("owner_id", "source").annotate(count=Count("pk"))


@prepared
def _silent(before: Given, *values: Given, count: int) -> "QuerySet[Session, tuple[Any, ...]]":
    silent = _there(values, count).filter(liveness__in=SILENT, heard_at__lte=before)
    return silent.values_list("pk", "owner_id", "source", "liveness", "heard_at")[:MOST_SILENCES]


def _there(values: Sequence[Given], count: int) -> SessionQuerySet:
    """Return the candidates of so many places: an owner and a source each, and last who looks, if confined."""
    pairs = zip(values[: 2 * count : 2], values[1 : 2 * count : 2], strict=True)
    there = reduce(or_, (Q(owner=owner, source=source) for owner, source in pairs))
    return _candidates(next(iter(values[2 * count :]), None)).filter(there)


def _candidates(owner_id: Given | None) -> SessionQuerySet:
    """Return what runs and waits for nobody."""
    running = Session.objects.seen_by(owner_id).active().running()
    return running.filter(needs=Needs.NOTHING, is_imported=False).order_by()
