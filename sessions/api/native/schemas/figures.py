"""Figures, as they go out. What is unknown is null, never 0."""

from collections.abc import Mapping
from datetime import date

from pydantic import BaseModel, Field

from sessions.models import TokenCounts, TurnEnd
from sessions.stats import Figures, TurnFigures
from sessions.tool_stats import ToolFigures


class TokenFiguresOut(BaseModel):
    """Five kinds, kept apart: providers count some of them within others, so only `total_tokens` is a sum."""

    prompt_tokens: int
    completion_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    thinking_tokens: int
    total_tokens: int = Field(description="Prompt + completion.")

    @classmethod
    def of(cls, counts: TokenCounts) -> "TokenFiguresOut":
        """Return counts as they go out."""
        return cls(**counts.as_dict(), total_tokens=counts.total)


class DayOut(BaseModel):
    """A day (UTC) on which something was reported or a turn ended."""

    day: date
    tokens: TokenFiguresOut | None = Field(description="Null when nobody reported any.")
    working_seconds: int | None = Field(description="Of ended turns, without the waiting; null when none ended.")
    waiting_seconds: int | None = Field(description="Of settled requests; waits side by side count once.")


class NamedTokensOut(BaseModel):
    """The tokens of an agent or of a project."""

    name: str | None = Field(description="`agent_name`, or `project_root`; null is without a project.")
    tokens: TokenFiguresOut


class ToolOut(BaseModel):
    """How the calls of one tool ended."""

    tool_name: str
    total: int
    successful: int
    failed: int
    rejected: int
    aborted: int
    open: int = Field(description="Without an outcome yet.")

    @classmethod
    def of(cls, tool: ToolFigures) -> "ToolOut":
        """Return a tool as it goes out."""
        return cls(
            tool_name=tool.name,
            total=tool.total,
            successful=tool.success,
            failed=tool.failed,
            rejected=tool.rejected,
            aborted=tool.aborted,
            open=tool.open,
        )


class TurnsOut(BaseModel):
    """Turns that began in the period, and the lengths of those that have ended."""

    count: int
    complete: int
    cancelled: int
    error: int
    abandoned: int
    median_seconds: int | None
    p95_seconds: int | None
    longest_seconds: int | None

    @classmethod
    def of(cls, turns: TurnFigures) -> "TurnsOut":
        """Return turns as they go out."""
        ends = {reason.value: turns.reasons.get(reason.value, 0) for reason in TurnEnd}
        lengths = {"median_seconds": turns.median, "p95_seconds": turns.p95, "longest_seconds": turns.longest}
        return cls(count=turns.count, **ends, **lengths)


class FiguresOut(BaseModel):
    """All figures of a period."""

    first_day: date
    last_day: date
    is_whole: bool = Field(
        description="False while many sessions are still being counted, as after an upgrade: ask again later."
    )
    session_count: int = Field(description="Sessions that began in the period.")
    turns: TurnsOut
    tokens: TokenFiguresOut | None = Field(description="Null when nobody reported any.")
    by_day: list[DayOut]
    by_agent: list[NamedTokensOut]
    by_project: list[NamedTokensOut]
    tools: ToolOut = Field(description="All tools together; `tool_name` is empty.")
    by_tool: list[ToolOut] = Field(description="The most called first.")
    working_seconds: int | None
    waiting_seconds: int | None
    time_saved_seconds: int | None = Field(
        description="By successful calls, as KODA_TIME_SAVED_PER_CALL says; null when it names none of these tools."
    )

    @classmethod
    def of(cls, found: Figures) -> "FiguresOut":
        """Return figures as they go out."""
        sums, times = found.tokens, found.all_times if found.times else None
        return cls(
            first_day=found.period.first,
            last_day=found.period.last,
            is_whole=found.is_whole,
            session_count=found.session_count,
            turns=TurnsOut.of(found.turns),
            tokens=TokenFiguresOut.of(sums) if sums else None,
            by_day=[_day(found, day) for day in sorted({*found.by_day, *found.times})],
            by_agent=_named(found.by_agent),
            by_project=_named(found.by_project),
            tools=ToolOut.of(found.all_tools),
            by_tool=[ToolOut.of(tool) for tool in found.tools],
            working_seconds=times.working if times else None,
            waiting_seconds=times.waiting if times else None,
            time_saved_seconds=found.time_saved_seconds,
        )


def _day(found: Figures, day: date) -> DayOut:
    counts, times = found.by_day.get(day), found.times.get(day)
    return DayOut(
        day=day,
        tokens=TokenFiguresOut.of(counts) if counts else None,
        working_seconds=times.working if times else None,
        waiting_seconds=times.waiting if times else None,
    )


def _named(sums: Mapping[str, TokenCounts]) -> list[NamedTokensOut]:
    ranked = sorted(sums.items(), key=lambda item: (-item[1].total, item[0]))
    return [NamedTokensOut(name=name or None, tokens=TokenFiguresOut.of(counts)) for name, counts in ranked]
