"""Counting what sessions add to the figures, soon after they changed and out of their writers' transactions.

A share is what one session adds, counted from its own records. Sums by place, scope, day and month are changed by the
difference between a session's new share and the one before, so any number of repeats comes to the same.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, product
from typing import Any

from django.db import models, transaction
from django.db.models import Count, Sum

from sessions import following
from sessions.models import (
    TOKEN_NAMES,
    FigureMark,
    FigureSum,
    Place,
    PurgedCalls,
    Request,
    Session,
    Share,
    ToolCall,
    Turn,
    Usage,
    Visibility,
)
from sessions.models import amounts as named
from sessions.models.among import Among
from sessions.models.amounts import NUMBERS, Amounts, Days
from sessions.models.place import PlaceName
from sessions.models.spans import SecondsBetween, UtcDay

_MICROSECOND = timedelta(microseconds=1)
_TOOK = SecondsBetween("started_at", "ended_at")

Cell = tuple[PlaceName, int, int]
"""A place, a scope and a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miscounted:
    """An amount of a session's share, or (None) of a sum, that is not what it is made of says."""

    session_id: int | None
    name: str
    kept: int
    counted: int


# --- What one session adds -----------------------------------------------------------------------------------


def shares_of(ids: Sequence[int], *, since: datetime | None = None, until: datetime | None = None) -> list[Share]:
    """Return what these sessions add to the figures, counted now and not saved, in eight queries.

    With bounds, days outside may be missing. A turn, call or request belongs to the day (UTC) on which it began.
    """
    if not ids:
        return []
    days: dict[int, Days] = defaultdict(lambda: defaultdict(Amounts))
    bounds = {"gte": since, "lt": until}
    waits = _waits(ids)
    within = {name: at for name, at in bounds.items() if at is not None}
    for session, day, name, count in (
        *_spent(ids, within), *_called(ids, within), *_turned(ids, within), *_waited(waits), *_unworked(waits, within),
    ):  # fmt: skip
        days[session][named.slot_of_day(day)][name] += count
    columns = ("pk", "owner_id", "visibility", "agent_name", "source", "project_root", "created_at")
    shares = []
    for pk, owner, visibility, agent_name, source, project_root, born in Session.objects.filter(
        Among("id", ids)
    ).values_list(*columns):
        days[pk][named.slot_of_day(born.astimezone(UTC).date())]["session_count"] += 1
        shares.append(
            Share(
                session_id=pk, owner_key=owner, is_public=visibility == Visibility.PUBLIC, agent_name=agent_name,
                source=source, project_root=project_root or "",
                days={str(slot): dict(amounts) for slot, amounts in days[pk].items()},
            )
        )  # fmt: skip
    return shares


_Told = Iterator[tuple[int, date, str, int]]
"""A session, a day, the name of an amount, and how much."""


def _bounded(column: str, within: dict[str, datetime]) -> dict[str, datetime]:
    return {f"{column}__{bound}": at for bound, at in within.items()}


def _spent(ids: Sequence[int], within: dict[str, datetime]) -> _Told:
    """Yield what the token ledger says."""
    bounds = {name: at.date() for name, at in _bounded("day", within).items()}
    sums = {name: Sum(name) for name in TOKEN_NAMES}
    rows = Usage.objects.filter(Among("session_id", ids), **bounds).order_by().values_list("session_id", "day")
    for session, day, count, *tokens in rows.annotate(count=Count("pk"), **sums):
        yield session, day, "usage_count", count
        for name, value in zip(TOKEN_NAMES, tokens, strict=True):
            yield session, day, name, int(value)


def _called(ids: Sequence[int], within: dict[str, datetime]) -> _Told:
    """Yield the calls that are there, and those that a purge has destroyed."""
    calls = ToolCall.objects.made_here().filter(Among("session_id", ids), **_bounded("started_at", within)).order_by()
    rows = calls.annotate(on=UtcDay("started_at")).values_list("session_id", "on", "name", "outcome")
    gone = PurgedCalls.objects.filter(Among("session_id", ids)).order_by()
    purged = gone.values_list("session_id", "day", "name", "outcome").annotate(sum=Sum("count"))
    for session, day, tool, outcome, count in (*rows.annotate(count=Count("pk")), *purged):
        yield session, day, named.of_call(tool, outcome), int(count)


def _turns(ids: Sequence[int], within: dict[str, datetime]) -> models.QuerySet[Turn]:
    return Turn.objects.filter(Among("session_id", ids), started_at__isnull=False, **_bounded("started_at", within))


def _turned(ids: Sequence[int], within: dict[str, datetime]) -> _Told:
    """Yield turns by how they ended, and of those that have ended how long they took."""
    took = _turns(ids, within).order_by().annotate(on=UtcDay("started_at"), took=_TOOK)
    rows = took.values_list("session_id", "on", "reason", "took").annotate(count=Count("pk"))
    for session, day, reason, seconds, count in rows:
        yield session, day, named.of_turn(reason), count
        if seconds is not None:
            yield session, day, "ended_count", count
            yield session, day, "turn_seconds", seconds * count
            yield session, day, named.of_length(seconds), count


@dataclass(slots=True)
class _Waits:
    """The times in which one session waited for a person: in order, and none overlaps another."""

    days: list[date] = field(default_factory=list)
    """On which what was waited for had been asked."""
    starts: list[datetime] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    before: list[timedelta] = field(default_factory=list)
    """How long it had waited when each began."""

    def add(self, opened: datetime, closed: datetime) -> None:
        """Take a request, in the order in which they were opened: those side by side kept the agent waiting once."""
        start = max([opened, *self.ends[-1:]])
        if closed > start:
            self.before.append(self.until(start))
            self.days.append(opened.astimezone(UTC).date())
            self.starts.append(start)
            self.ends.append(closed)

    def until(self, at: datetime) -> timedelta:
        """Return how long it had waited at a time."""
        count = bisect_right(self.starts, at)
        return self.before[count - 1] + min(at, self.ends[count - 1]) - self.starts[count - 1] if count else timedelta()


def _waits(ids: Sequence[int]) -> dict[int, _Waits]:
    """Return when these sessions waited, by what was settled."""
    asked = Request.objects.filter(Among("session_id", ids), closed_at__isnull=False)
    rows = asked.order_by("session_id", "opened_at").values_list("session_id", "opened_at", "closed_at")
    waits: dict[int, _Waits] = defaultdict(_Waits)
    for session, opened, closed in rows:
        assert closed is not None
        waits[session].add(opened, closed)
    return waits


def _waited(waits: dict[int, _Waits]) -> _Told:
    """Yield how long a person was waited for."""
    for session, own in waits.items():
        for day, start, end in zip(own.days, own.starts, own.ends, strict=True):
            yield session, day, "waiting_us", (end - start) // _MICROSECOND


def _unworked(waits: dict[int, _Waits], within: dict[str, datetime]) -> _Told:
    """Yield, to be taken off, what of the turns that have ended was spent in waiting: none of those that still run."""
    turns = _turns(list(waits), within).filter(ended_at__isnull=False).order_by()
    rows = turns.values_list("session_id", "started_at", "ended_at", _TOOK) if waits else ()
    for session, start, end, seconds in rows:
        waited = round((waits[session].until(end) - waits[session].until(start)).total_seconds())
        yield session, start.astimezone(UTC).date(), "turn_seconds", -max(0, min(waited, seconds))


# --- Adding it to the sums -----------------------------------------------------------------------------------


def uncounted(mark: FigureMark | None) -> list[int]:
    """Return the sessions that changed or were born behind a mark, in one query; without one these are all."""
    after = mark.last_session if mark else 0
    rows = Session.objects.filter(pk__gt=after).order_by().values_list("pk")
    if mark is not None and after:
        rows = rows.union(mark.told().values_list("session"), all=True)
    return sorted({pk for (pk,) in rows})


def count(*, seconds: float = 1.0) -> int:
    """Count the sessions that changed, until none is left or `seconds` have passed; return how many.

    The keeper calls this again and again. Two at once do no harm: what one has added the other finds added. What was
    counted by another version, to which the amounts mean something else, is counted anew.
    """
    mark = FigureMark.objects.first()
    if mark is not None and not mark.is_ours:
        start_again()
    return _FIGURES.catch_up(seconds=seconds)


def _gone() -> models.QuerySet[Share]:
    """Return shares that are to be taken out: their session is gone."""
    return Share.objects.filter(session=None)


def _add(shares: Sequence[Share]) -> None:
    """Let these shares, and those whose session is gone, count as they are now. The caller holds the mark."""
    before = _kept([share.session_id for share in shares if share.session_id])
    gone = list(_gone()[: following.SESSIONS_AT_ONCE])
    changed = [share for share in shares if _differs(before.get(share.session_id), share)]
    _change_sums(
        _changes([*((before.get(share.session_id), share) for share in changed), *((share, None) for share in gone)])
    )
    fields = [field.name for field in Share._meta.concrete_fields if not field.primary_key]  # noqa: SLF001
    Share.objects.bulk_create(changed, update_conflicts=True, unique_fields=["session"], update_fields=fields)
    Share.objects.filter(pk__in=[share.pk for share in gone]).delete()


def _kept(ids: Iterable[int]) -> dict[int | None, Share]:
    """Return the shares of these sessions that have one."""
    return {share.session_id: share for share in Share.objects.filter(session__in=ids)}


def _differs(before: Share | None, share: Share) -> bool:
    return before is None or before.days != share.days or not before.counts_as(share)


def _changes(pairs: Iterable[tuple[Share | None, Share | None]]) -> dict[Cell, Amounts]:
    """Return what the sums change by when these shares (before, after) do: pure."""
    changes: dict[Cell, Amounts] = defaultdict(Amounts)
    for before, after in pairs:
        if before is not None and after is not None and before.counts_as(after):
            _note(changes, after, named.change(before.amounts, after.amounts))
            continue
        if before is not None:
            _note(changes, before, named.change(before.amounts, {}))
        if after is not None:
            _note(changes, after, after.amounts)
    return changes


def _note(changes: dict[Cell, Amounts], share: Share, days: Days) -> None:
    """Add the amounts of days to all cells in which a share counts."""
    for day, amounts in days.items():
        for place, scope, slot in product(share.places, share.scopes, (day, day // 100)):
            changes[place, scope, slot].update(amounts)


def _change_sums(changes: dict[Cell, Amounts]) -> None:
    """Add to the sums; what comes to nothing goes, and a place with its last sum. The caller holds the mark."""
    changes = {cell: amounts for cell, amounts in changes.items() if any(amounts.values())}
    places = Place.objects.ids_of({place for place, _, _ in changes})
    kept = {
        (row.place_id, row.scope, row.slot): row
        for row in FigureSum.objects.filter(
            place__in=places.values(),
            scope__in={scope for _, scope, _ in changes},
            slot__in={slot for _, _, slot in changes},
        )
    }
    saved, emptied = [], []
    for (place, scope, slot), amounts in changes.items():
        row = kept.get((places[place], scope, slot)) or FigureSum(
            place_id=places[place], grain=place.grain, scope=scope, slot=slot
        )
        now = named.without_noughts(named.total([row.amounts, amounts]))
        row.take(now)
        if now:
            saved.append(row)
        elif row.pk:
            emptied.append(row)
    FigureSum.objects.bulk_create(
        saved, update_conflicts=True, unique_fields=["place", "scope", "slot"], update_fields=[*NUMBERS, "detail"]
    )
    if emptied:
        FigureSum.objects.filter(pk__in=[row.pk for row in emptied]).delete()
        Place.objects.filter(pk__in={row.place_id for row in emptied}, sums=None).delete()


# --- Holding it against the records --------------------------------------------------------------------------


def miscounted(ids: Sequence[int]) -> list[Miscounted]:
    """Return the amounts of these sessions' shares that differ from their records; nothing is changed.

    What `count` would count anyway may be among them: call it before.
    """
    old = _kept(ids)
    return [
        Miscounted(session_id=new.session_id, name=name, kept=kept, counted=counted)
        for new in shares_of(ids)
        if new.session_id in old
        for name, kept, counted in _differing(named.total(old[new.session_id].amounts.values()),
                                              named.total(new.amounts.values()))
    ]  # fmt: skip


def count_again(ids: Sequence[int]) -> None:
    """Count these sessions although nothing told of a change. Raises `Unavailable`, or what the database refuses."""
    _FIGURES.keep_again(ids)


def wrong_sums() -> list[Miscounted]:
    """Return the sums that are not those of the shares; what seems so is looked at again with additions held."""
    if not any(_wrong_sums()):
        return []
    with transaction.atomic():
        list(FigureMark.objects.select_for_update())
        return list(_wrong_sums())


def start_again() -> None:
    """Forget all shares and sums; `count` makes them anew from the records. Until then these are read themselves."""
    with transaction.atomic():
        list(FigureMark.objects.select_for_update())
        for model in (FigureSum, Place, Share, FigureMark):
            model.objects.all().delete()


def _wrong_sums() -> Iterator[Miscounted]:
    """Yield the amounts of sums that differ from those of the shares, place after place: few are held at once."""
    coarse: dict[Cell, Amounts] = defaultdict(Amounts)
    seen: set[PlaceName] = set()
    shares = Share.objects.order_by("agent_name", "source", "project_root").iterator(chunk_size=500)
    for place, group in groupby(shares, key=lambda share: share.place):
        fine: dict[Cell, Amounts] = defaultdict(Amounts)
        for share in group:
            for cell, amounts in _changes([(None, share)]).items():
                (fine if cell[0] == place else coarse)[cell].update(amounts)
        seen.add(place)
        yield from _unlike({place}, fine)
    rest = {row.name for row in Place.objects.all()} - seen
    yield from _unlike(rest, coarse)


def _unlike(places: set[PlaceName], counted: dict[Cell, Amounts]) -> Iterator[Miscounted]:
    """Yield the amounts of these places' sums that are others."""
    rows = Place.objects.filter(digest__in=[place.digest for place in places])
    for place in rows.prefetch_related("sums") if places else ():
        for row in place.sums.all():
            for name, kept, right in _differing(row.amounts, counted.pop((place.name, row.scope, row.slot), Amounts())):
                yield Miscounted(session_id=None, name=f"{row.slot}.{name}", kept=kept, counted=right)
    for (_, _, slot), amounts in counted.items():
        for name, kept, right in _differing(Amounts(), amounts):
            yield Miscounted(session_id=None, name=f"{slot}.{name}", kept=kept, counted=right)


def _differing(kept: Amounts, counted: Amounts) -> Iterator[tuple[str, Any, Any]]:
    return ((name, kept[name], counted[name]) for name in sorted({*kept, *counted}) if kept[name] != counted[name])


_FIGURES = following.Follower(
    name="figures", marks=FigureMark, read=shares_of, write=_add, is_due=lambda: _gone().exists()
)
