"""Figures over many sessions: tokens, tools, turns, and time that waited for a person.

Tokens come from the ledger, which no purge lowers; the rest from the rows of turns, calls and requests in the order of
their beginning, by an index that holds all that is asked for. No message is read. The seven queries are the same for
one session and for a hundred thousand. A turn, a call or a request belongs to the day (UTC) on which it began, and
only what has ended is counted into times.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, QuerySet, Sum

from sessions.models import TOKEN_NAMES, Request, Session, TokenCounts, ToolCall, Turn, Usage
from sessions.models.session_rows import SessionQuerySet
from sessions.models.spans import SecondsBetween, UtcDay
from sessions.tool_stats import ToolFigures, saved_by, saved_per_call, sum_known, tools_of

LONGEST_DAYS = 366
DAYS_SHOWN = 93
"""Days that are shown one by one; a longer period is shown by weeks."""
_WEEK = 7
LENGTHS = (5, 10, 20, 30, 60, 120, 240, 480, 900, 1800, 3600)
"""Upper bounds of the classes of turn lengths, in seconds; one class more holds what is longer."""
_TYPICAL, _LONG = 0.5, 0.95
_Name = TypeVar("_Name")


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days (UTC), the first and the last among them."""

    first: date
    last: date

    @classmethod
    def of_days(cls, days: int, *, now: datetime) -> "Period":
        """Return the last so many days, today among them: 1 to `LONGEST_DAYS`."""
        today = now.astimezone(UTC).date()
        return cls(today - timedelta(days=min(max(days, 1), LONGEST_DAYS) - 1), today)

    @property
    def days(self) -> list[date]:
        """Return all its days."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def slots(self) -> list["Period"]:
        """Return its days, or, when they are too many to look at, its weeks from the last day backwards."""
        days = self.days
        if len(days) <= DAYS_SHOWN:
            return [Period(day, day) for day in days]
        lasts = days[::-_WEEK]
        return [Period(max(self.first, last - timedelta(days=_WEEK - 1)), last) for last in reversed(lasts)]

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Return its beginning, and its end, which is no longer part of it."""
        after = self.last + timedelta(days=1)
        return datetime.combine(self.first, time(), UTC), datetime.combine(after, time(), UTC)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the sessions have in common; empty is any."""

    agent_name: str = ""
    project_root: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """How many turns began, how they ended, and how long those that ended took (seconds; None when none did)."""

    count: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    lengths: Sequence[int] = ()
    median: int | None = None
    p95: int | None = None
    longest: int | None = None

    @property
    def ended(self) -> int:
        """Return how many have ended."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class DayTimes:
    """Seconds of one day's turns, and how many of them a person was waited for."""

    turns: int = 0
    waiting: int = 0

    def __add__(self, other: "DayTimes") -> "DayTimes":
        """Return the sums."""
        return DayTimes(self.turns + other.turns, self.waiting + other.waiting)

    @property
    def working(self) -> int:
        """Return the seconds in which nobody was waited for."""
        return max(0, self.turns - self.waiting)


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a period. A day, agent or project without a reported token is missing, not 0."""

    period: Period
    session_count: int
    by_day: Mapping[date, TokenCounts]
    by_agent: Mapping[str, TokenCounts]
    by_project: Mapping[str, TokenCounts]
    tools: Sequence[ToolFigures]
    turns: TurnFigures
    times: Mapping[date, DayTimes]

    @property
    def tokens(self) -> TokenCounts | None:
        """Return the sums of the period, or None when nobody reported any."""
        return sum(self.by_day.values(), TokenCounts()) if self.by_day else None

    @property
    def all_tools(self) -> ToolFigures:
        """Return the sums over all tools."""
        names = ("success", "failed", "rejected", "aborted", "open")
        return ToolFigures("", **{name: sum(getattr(tool, name) for tool in self.tools) for name in names})

    @property
    def all_times(self) -> DayTimes:
        """Return the sums over all days."""
        return sum(self.times.values(), DayTimes())

    @property
    def time_saved_seconds(self) -> int | None:
        """Return what the successful calls saved as KODA_TIME_SAVED_PER_CALL says, None when it names none of them."""
        per_call = settings.KODA_TIME_SAVED_PER_CALL
        return sum_known(saved_by(tool.success, per_call=saved_per_call(tool.name, per_call)) for tool in self.tools)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing at all happened."""
        return not (self.session_count or self.by_day or self.tools or self.turns.count or self.times)


def figures(user: AbstractBaseUser | AnonymousUser, *, period: Period, filters: Filters = Filters()) -> Figures:
    """Return the figures of what `user` may read. Deleted sessions count until they are purged."""
    start, end = period.bounds
    sessions = Session.objects.visible_to(user).filtered(
        agent=filters.agent_name, project=filters.project_root, source=filters.source
    )
    within = {"session__in": sessions} if _is_narrowed(sessions) else {}
    used = Usage.objects.filter(day__gte=period.first, day__lte=period.last, **within)
    called = ToolCall.objects.filter(started_at__gte=start, started_at__lt=end, **within)
    turned = Turn.objects.filter(started_at__gte=start, started_at__lt=end, **within)
    asked = Request.objects.filter(opened_at__gte=start, opened_at__lt=end, closed_at__isnull=False, **within)

    rows = list(_spent(used))
    outcomes = called.order_by().values_list("name", "outcome").annotate(count=Count("pk"))
    ends = turned.order_by().values_list("reason").annotate(count=Count("pk"))
    seconds = SecondsBetween("started_at", "ended_at")
    ended = turned.filter(ended_at__isnull=False).order_by()
    took = ended.annotate(seconds=seconds).values_list("seconds").annotate(count=Count("pk"))
    by_day = ended.annotate(on=UtcDay("started_at")).values_list("on").annotate(total=Sum(seconds))
    waits = asked.order_by("session_id", "opened_at").values_list("session_id", "opened_at", "closed_at")
    return Figures(
        period=period,
        session_count=sessions.filter(created_at__gte=start, created_at__lt=end).count(),
        by_day=_sums((row["day"], counts) for row, counts in rows),
        by_agent=_sums((row["session__agent_name"], counts) for row, counts in rows),
        by_project=_sums((row["session__project_root"] or "", counts) for row, counts in rows),
        tools=tools_of(outcomes),
        turns=turns_of(reasons=dict(ends), lengths=dict(took)),
        times=times_of(turns=dict(by_day), waits=waits.iterator(chunk_size=2000)),
    )


def _is_narrowed(sessions: SessionQuerySet) -> bool:
    """Say whether any session is left out; to ask for "those in all" would cost a second look at each row."""
    return bool(sessions.query.where)


def _spent(used: QuerySet[Usage]) -> Iterator[tuple[dict[str, Any], TokenCounts]]:
    """Yield the sums of each day, agent and project, in one query."""
    rows = used.order_by().values("day", "session__agent_name", "session__project_root")
    for row in rows.annotate(**{name: Sum(name) for name in TOKEN_NAMES}):
        yield dict(row), TokenCounts.from_mapping(row)


def _sums(rows: Iterable[tuple[_Name, TokenCounts]]) -> dict[_Name, TokenCounts]:
    sums: dict[_Name, TokenCounts] = {}
    for name, counts in rows:
        sums[name] = sums[name] + counts if name in sums else counts
    return sums


def turns_of(*, reasons: Mapping[str | None, int], lengths: Mapping[int, int]) -> TurnFigures:
    """Return the figures of turns from counts by reason (None: still open) and by length in seconds."""
    classes = [0] * (len(LENGTHS) + 1)
    for seconds, count in lengths.items():
        classes[next((place for place, bound in enumerate(LENGTHS) if seconds < bound), len(LENGTHS))] += count
    return TurnFigures(
        count=sum(reasons.values()),
        reasons={str(reason): count for reason, count in reasons.items() if reason is not None},
        lengths=classes,
        median=percentile(lengths, _TYPICAL),
        p95=percentile(lengths, _LONG),
        longest=max(lengths, default=None),
    )


def percentile(counts: Mapping[int, int], part: float) -> int | None:
    """Return the smallest value that at least `part` of all do not exceed, or None of nothing (nearest rank)."""
    rank = part * sum(counts.values())
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    return None


def times_of(
    *, turns: Mapping[date, int], waits: Iterable[tuple[int, datetime, datetime | None]]
) -> dict[date, DayTimes]:
    """Return the times by day from seconds of turns and from closed requests: (session, opened, closed), in that order.

    Requests that waited side by side in one session kept its agent waiting once.
    """
    waiting: dict[date, float] = defaultdict(float)
    before, until = 0, datetime.min.replace(tzinfo=UTC)
    for session, opened, closed in waits:
        assert closed is not None
        start = max(opened, until) if session == before else opened
        if closed > start:
            waiting[opened.astimezone(UTC).date()] += (closed - start).total_seconds()
        until = max(until, closed) if session == before else closed
        before = session
    days = sorted({*turns, *waiting})
    return {day: DayTimes(int(turns.get(day) or 0), round(waiting.get(day, 0))) for day in days}
