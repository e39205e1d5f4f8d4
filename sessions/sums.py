"""The figures as they are now: sums that are kept, and beside them what changed since they were counted.

What was counted is read from few rows, however many sessions there are. Of a session that changed since, its old share
is taken out and its records are read; when nothing is counted yet, or not by this edition, that is all of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Sum

from sessions.counting import shares_of, uncounted
from sessions.models import EVERYBODY, PUBLIC, TOKEN_NAMES, FigureMark, FigureSum, Place, PlaceName, Session, Share
from sessions.models import amounts as named
from sessions.models.among import Among
from sessions.models.amounts import NUMBERS, Amounts

READ_AT_ONCE = 1_000
"""Sessions whose records are read for one answer, the newest.

More are not counted only after an upgrade, a restore or a large import; then the answer says that it is not whole.
"""
_TRIES = 3
_TOKENS = ("usage_count", *TOKEN_NAMES)


@dataclass(slots=True)
class Sums:
    """The numbers of each day, the tokens of each finest place, and the amounts of the whole period."""

    by_day: dict[date, Amounts] = field(default_factory=lambda: defaultdict(Amounts))
    by_place: dict[PlaceName, Amounts] = field(default_factory=lambda: defaultdict(Amounts))
    whole: Amounts = field(default_factory=Amounts)
    is_whole: bool = True
    """Whether what changed is in it; if not, the rest is as it was counted last."""

    def add(self, share: Share, *, days: range, sign: int = 1) -> None:
        """Add a share, or take it out, as far as it is of these days (their slots)."""
        for slot, amounts in share.amounts.items():
            if slot in days:
                signed = Amounts({name: sign * count for name, count in amounts.items()})
                self.by_day[named.day_of_slot(slot)].update({name: signed[name] for name in NUMBERS})
                self.by_place[share.place].update({name: signed[name] for name in _TOKENS})
                self.whole.update(signed)


def read(
    user: AbstractBaseUser | AnonymousUser,
    *,
    first: date,
    last: date,
    agent: str = "",
    project: str = "",
    source: str = "",
) -> Sums:
    """Return the sums of what `user` may read from day to day (UTC), narrowed by each word that is not empty.

    Eight queries, and nine more while something is not counted yet. Read across an addition they would count it twice
    or not at all; then they are read again.
    """
    if not user.is_authenticated:
        return Sums()
    scopes = [EVERYBODY] if getattr(user, "is_staff", False) else [PUBLIC, int(user.pk)]
    wanted = {"agent_name": agent, "project_root": project, "source": source}
    reading = _Reading(user, scopes, {name: value for name, value in wanted.items() if value}, first, last)
    sums = Sums()
    for _ in range(_TRIES):
        mark = FigureMark.objects.ours()
        sums = reading.read(mark)
        if _revision(FigureMark.objects.ours()) == _revision(mark):
            break
    return sums


def _revision(mark: FigureMark | None) -> int | None:
    return mark.revision if mark else None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is asked for: by whom, in which scopes, of which places, and of which days."""

    user: Any
    scopes: Sequence[int]
    wanted: dict[str, str]
    first: date
    last: date

    @property
    def _days(self) -> range:
        """Return the slots of all days; those that are no days in between are no slots of anything."""
        return range(named.slot_of_day(self.first), named.slot_of_day(self.last) + 1)

    @property
    def _grain(self) -> int:
        """Return the coarsest grain that tells apart what is asked for."""
        return 2 if "project_root" in self.wanted else 1 if self.wanted else 0

    def read(self, mark: FigureMark | None) -> Sums:
        """Read what is kept, and what is not counted yet."""
        sums = Sums()
        if mark is not None:
            self._read_kept(sums)
        changed = uncounted(mark)
        ids, sums.is_whole = changed[-READ_AT_ONCE:], len(changed) <= READ_AT_ONCE
        for share in self._stale(ids) if mark is not None else ():
            sums.add(share, days=self._days, sign=-1)
        for share in self._fresh(ids):
            sums.add(share, days=self._days)
        return sums

    # --- What is kept ----------------------------------------------------------------------------------------

    def _read_kept(self, sums: Sums) -> None:
        """Add what is kept, in four queries."""
        rows = FigureSum.objects.filter(scope__in=self.scopes).order_by()
        own = rows.filter(grain=self._grain)
        if self.wanted:
            own = own.filter(place__in=Place.objects.filter(grain=self._grain, **self.wanted))
        days = own.filter(slot__gte=self._days.start, slot__lt=self._days.stop)
        for slot, *numbers in days.values_list("slot").annotate(**_sums_of(NUMBERS)):
            sums.by_day[named.day_of_slot(slot)] = Amounts(dict(zip(NUMBERS, map(int, numbers), strict=True)))
        for name in NUMBERS:
            sums.whole[name] = sum(numbers[name] for numbers in sums.by_day.values())
        slots = named.slots_between(self.first, self.last)
        for detail in own.filter(slot__in=slots).values_list("detail", flat=True):
            sums.whole.update(orjson.loads(detail))
        fine = rows.filter(grain=2, slot__in=slots)
        if "project_root" in self.wanted:
            fine = fine.filter(place__in=Place.objects.filter(grain=2, **self.wanted))
        spent = fine.values_list("place").annotate(**_sums_of(_TOKENS))
        tokens = {place: dict(zip(_TOKENS, map(int, numbers), strict=True)) for place, *numbers in spent}
        used = [place for place, amounts in tokens.items() if amounts["usage_count"]]
        for place in Place.objects.filter(Among("id", used), **self.wanted):
            sums.by_place[place.name] = Amounts(tokens[place.pk])

    # --- What is not counted yet -----------------------------------------------------------------------------

    def _stale(self, ids: Sequence[int]) -> Iterator[Share]:
        """Yield the shares that are kept of what has changed, or is gone, as far as they are asked for."""
        kept: Iterable[Share] = Share.objects.filter(session=None, **self.wanted)
        if ids:
            kept = [*kept, *Share.objects.filter(Among("session_id", ids), **self.wanted)]
        return (share for share in kept if not set(self.scopes).isdisjoint(share.scopes))

    def _fresh(self, ids: Sequence[int]) -> list[Share]:
        """Return the shares that these sessions have now, as far as they are asked for."""
        if not ids:
            return []
        rows = Session.objects.visible_to(self.user).filter(Among("id", ids), **self.wanted)
        since, until = (datetime.combine(day, time(), UTC) for day in (self.first, self.last + timedelta(days=1)))
        return shares_of(list(rows.order_by().values_list("pk", flat=True)), since=since, until=until)


def _sums_of(names: Iterable[str]) -> dict[str, Sum]:
    return {f"sum_of_{name}": Sum(name) for name in names}
