"""Figures over many sessions: tokens, tools, turns, and time that waited for a person.

They are read from `sums`, at the same cost for one session and for a hundred thousand. No purge of messages or events
lowers them, and what a fork copied counts where it was made. A turn, a call or a request belongs to the day (UTC) on
which it began, and only what has ended is counted into times.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from sessions import sums
from sessions.models import TokenCounts, amounts
from sessions.tool_stats import ToolFigures, saved_by, saved_per_call, sum_known, tools_of

LONGEST_DAYS = 366
DAYS_SHOWN = 93
"""Days that are shown one by one; a longer period is shown by weeks."""
_WEEK = 7
LENGTHS = (5, 10, 20, 30, 60, 120, 240, 480, 900, 1800, 3600)
"""Upper bounds of the classes of turn lengths, in seconds; one class more holds what is longer."""
_TYPICAL, _LONG = 0.5, 0.95


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
    """Seconds of a day's ended turns in which nobody was waited for (None: none ended), and those of waiting."""

    working: int | None = None
    waiting: int = 0

    def __add__(self, other: "DayTimes") -> "DayTimes":
        """Return the sums."""
        return DayTimes(sum_known([self.working, other.working]), self.waiting + other.waiting)


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
    is_whole: bool = True
    """False while more changed than one answer reads: what is missing is being counted."""

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
    found = sums.read(
        user, first=period.first, last=period.last,
        agent=filters.agent_name, project=filters.project_root, source=filters.source,
    )  # fmt: skip
    spent = [(place, one) for place, one in found.by_place.items() if one["usage_count"]]
    return Figures(
        period=period,
        session_count=found.whole["session_count"],
        by_day={day: TokenCounts.from_mapping(one) for day, one in found.by_day.items() if one["usage_count"]},
        by_agent=_tokens((place.agent_name or "", one) for place, one in spent),
        by_project=_tokens((place.project_root or "", one) for place, one in spent),
        tools=tools_of(amounts.calls_in(found.whole)),
        turns=turns_of(reasons=amounts.turns_in(found.whole), lengths=amounts.lengths_in(found.whole)),
        times=times_of(found.by_day),
        is_whole=found.is_whole,
    )


def _tokens(rows: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, TokenCounts]:
    """Return the sums of each name."""
    found: dict[str, TokenCounts] = defaultdict(TokenCounts)
    for name, counts in rows:
        found[name] += TokenCounts.from_mapping(counts)
    return dict(found)


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


def times_of(by_day: Mapping[date, Mapping[str, int]]) -> dict[date, DayTimes]:
    """Return the times of the days on which a turn ended or a person was waited for."""
    return {
        day: DayTimes(
            numbers["turn_seconds"] if numbers["ended_count"] else None, round(numbers["waiting_us"] / 1_000_000)
        )
        for day, numbers in sorted(by_day.items())
        if numbers["ended_count"] or numbers["waiting_us"]
    }
