"""Figures of tool calls, by how they ended, and with the words of Stakpak's SessionStats (its contract, 1.10 and 9.8).

Calls are those of the records, whichever branch they were made on, and those that a purge has destroyed; what a fork
copied counts where it was made. A refused call counts as aborted, one that is still pending as none of the three.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Q, Sum

from sessions.models import Outcome, PurgedCalls, ToolCall
from sessions.models.session_rows import SessionQuerySet

_HAS_CALLS = Q(tool_call_count__gt=0)


@dataclass(frozen=True, slots=True)
class ToolFigures:
    """How the calls of one tool ended. What has no outcome yet is `open`."""

    name: str
    success: int = 0
    failed: int = 0
    rejected: int = 0
    aborted: int = 0
    open: int = 0

    @property
    def total(self) -> int:
        """Return all calls."""
        return self.success + self.failed + self.rejected + self.aborted + self.open

    @property
    def failed_percent(self) -> float | None:
        """Return how many of the calls that ran to an end failed, or None when none did."""
        ended = self.success + self.failed
        return 100 * self.failed / ended if ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUsage:
    """The calls of one tool. `time_saved_per_call` is in seconds, None where nobody configured it."""

    tool_name: str
    display_name: str
    total: int = 0
    successful: int = 0
    failed: int = 0
    aborted: int = 0
    time_saved_per_call: float | None = None

    @property
    def time_saved_seconds(self) -> int | None:
        """Return what the calls that succeeded have saved."""
        return saved_by(self.successful, per_call=self.time_saved_per_call)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """The calls of some sessions, the most used tool first."""

    total_sessions: int
    sessions_with_activity: int
    tools_usage: tuple[ToolUsage, ...]

    def count(self, name: str) -> int:
        """Return a figure (total, successful, failed, aborted) over all tools."""
        return sum(getattr(tool, name) for tool in self.tools_usage)

    @property
    def total_time_saved_seconds(self) -> int | None:
        """Return what all tools saved, None when it is configured for none of them."""
        return sum_known(tool.time_saved_seconds for tool in self.tools_usage)


def stats_of(sessions: SessionQuerySet) -> SessionStats:
    """Return the figures of these sessions, in two queries."""
    plain = sessions.order_by()
    rows = ToolCall.objects.made_here().filter(session__in=plain.values("pk")).order_by()
    gone = PurgedCalls.objects.filter(session__in=plain.values("pk")).order_by()
    counts = (
        rows.values_list("name", "outcome")
        .annotate(calls=Count("pk"))
        .union(gone.values_list("name", "outcome").annotate(calls=Sum("count")), all=True)
    )
    totals = plain.aggregate(sessions=Count("pk"), active=Count("pk", filter=_HAS_CALLS))
    per_call: Mapping[str, float] = settings.KODA_TIME_SAVED_PER_CALL
    return SessionStats(
        total_sessions=totals["sessions"],
        sessions_with_activity=totals["active"],
        tools_usage=tuple(usage_of(counts, per_call=per_call)),
    )


def tools_of(rows: Iterable[tuple[str, str | None, int]]) -> list[ToolFigures]:
    """Return the figures by tool, the most called first, from counts by (name, outcome) that are added up."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, outcome, count in rows:
        counts[name]["open" if outcome is None else Outcome(outcome).value] += int(count)
    tools = [ToolFigures(name, **by_outcome) for name, by_outcome in counts.items()]
    return sorted(tools, key=lambda tool: (-tool.total, tool.name))


def usage_of(counts: Iterable[tuple[str, str | None, int]], *, per_call: Mapping[str, float]) -> Iterable[ToolUsage]:
    """Yield the usage of each tool from counts by name and outcome, the most used first."""
    for tool in tools_of(counts):
        yield ToolUsage(
            tool_name=tool.name,
            display_name=display_name(tool.name),
            total=tool.total,
            successful=tool.success,
            failed=tool.failed,
            aborted=tool.aborted + tool.rejected,
            time_saved_per_call=saved_per_call(tool.name, per_call),
        )


def saved_per_call(name: str, per_call: Mapping[str, float]) -> float | None:
    """Return the seconds that a successful call of a tool saves, by its name with or without its server."""
    return per_call.get(name, per_call.get(bare_name(name)))


def saved_by(successful: int, *, per_call: float | None) -> int | None:
    """Return the seconds that so many calls saved; None where nobody configured it."""
    return None if per_call is None else round(per_call * successful)


def sum_known(saved: Iterable[int | None]) -> int | None:
    """Return the sum of what is known, None when nothing is."""
    known = [seconds for seconds in saved if seconds is not None]
    return sum(known) if known else None


def bare_name(name: str) -> str:
    """Return a tool's name without the server that it came from: `stakpak__run_command` is `run_command`."""
    return name.partition("__")[2] or name


def display_name(name: str) -> str:
    """Return a tool's name as people read it: `Run Command`."""
    return " ".join(word[:1].upper() + word[1:] for word in bare_name(name).replace("_", " ").split()) or name
