"""Statistics of tool calls as they go out: the SessionStats of Stakpak's trait, which two contracts answer with."""

from pydantic import BaseModel, Field

from sessions.tool_stats import SessionStats, ToolUsage


class UsageCountsOut(BaseModel):
    """Calls of one tool. The rest of `total` is pending."""

    total: int
    successful: int
    failed: int
    aborted: int = Field(description="Cut off, never answered, or refused.")


class ToolUsageOut(BaseModel):
    """One tool."""

    tool_name: str
    display_name: str
    usage_counts: UsageCountsOut
    time_saved_per_call: float | None = Field(description="Seconds, as KODA_TIME_SAVED_PER_CALL says.")
    time_saved_seconds: int | None


class SessionStatsOut(BaseModel):
    """The SessionStats of the trait; what is unknown is null and not left out."""

    total_sessions: int
    total_tool_calls: int
    successful_tool_calls: int
    failed_tool_calls: int
    aborted_tool_calls: int
    sessions_with_activity: int
    total_time_saved_seconds: int | None
    tools_usage: list[ToolUsageOut] = Field(description="The most used first.")

    @classmethod
    def of(cls, stats: SessionStats) -> "SessionStatsOut":
        """Return statistics as they go out."""
        return cls(
            total_sessions=stats.total_sessions,
            total_tool_calls=stats.count("total"),
            successful_tool_calls=stats.count("successful"),
            failed_tool_calls=stats.count("failed"),
            aborted_tool_calls=stats.count("aborted"),
            sessions_with_activity=stats.sessions_with_activity,
            total_time_saved_seconds=stats.total_time_saved_seconds,
            tools_usage=[_usage_out(tool) for tool in stats.tools_usage],
        )


def _usage_out(tool: ToolUsage) -> ToolUsageOut:
    counts = {name: getattr(tool, name) for name in UsageCountsOut.model_fields}
    return ToolUsageOut(
        tool_name=tool.tool_name,
        display_name=tool.display_name,
        usage_counts=UsageCountsOut(**counts),
        time_saved_per_call=tool.time_saved_per_call,
        time_saved_seconds=tool.time_saved_seconds,
    )
