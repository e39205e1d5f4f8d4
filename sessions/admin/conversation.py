"""Messages, turns and tool calls."""

from django.contrib import admin
from django.db.models import QuerySet

from sessions.admin.records import OpenFilter, RecordAdmin, head_of, show_json, show_text
from sessions.models import Message, ToolCall, Turn


class ArchivedFilter(OpenFilter):
    """Narrows to what a compaction left, or took."""

    names = {"1": "In the context", "0": "Archived"}
    what = "compaction"


@admin.register(Message)
class MessageAdmin(RecordAdmin[Message]):
    """Messages, newest first."""

    columns = ("role", "agent_name", "created_at", "compacted_at")
    list_display = ("id", "session_link", "role", "beginning", "agent_name", "created_at", "compacted_at")
    list_filter = (("compacted_at", ArchivedFilter),)
    fields = (
        "session", "role", "written", "thought", "asked", "tool_call_id", "agent_name", "model", "turn_id",
        "client_id", "prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_creation_tokens",
        "thinking_tokens", "created_at", "compacted_at",
    )  # fmt: skip

    def for_list(self, rows: QuerySet[Message]) -> QuerySet[Message]:
        """Add the beginning of the text."""
        return super().for_list(rows).annotate(beginning=head_of("content"))

    @admin.display(description="content")
    def beginning(self, message: Message) -> str:
        """Return the beginning of the content, on one line."""
        return " ".join((getattr(message, "beginning", None) or "").split())

    @admin.display(description="content")
    def written(self, message: Message) -> str:
        """Return the content."""
        return show_text(message.content)

    @admin.display(description="thinking")
    def thought(self, message: Message) -> str:
        """Return the thinking."""
        return show_text(message.thinking)

    @admin.display(description="tool calls")
    def asked(self, message: Message) -> str:
        """Return the tool calls as they were sent."""
        return show_json(message.tool_calls)


@admin.register(Turn)
class TurnAdmin(RecordAdmin[Turn]):
    """Turns, newest first."""

    columns = ("turn_id", "started_at", "ended_at", "reason", "tool_call_count")
    list_display = ("id", "session_link", "turn_id", "started_at", "ended_at", "reason", "tool_call_count")
    list_filter = (("ended_at", OpenFilter),)


@admin.register(ToolCall)
class ToolCallAdmin(RecordAdmin[ToolCall]):
    """Tool calls, newest first."""

    columns = ("name", "detail", "outcome", "started_at", "ended_at", "is_timed")
    list_display = ("id", "session_link", "name", "detail", "outcome", "started_at", "took_seconds")
    list_filter = (("outcome", OpenFilter),)
    fields = (
        "session", "name", "detail", "call_id", "turn_id", "arguments", "outcome", "is_sub_agent", "message",
        "result_message", "start_seq", "result_seq", "started_at", "ended_at", "is_timed",
    )  # fmt: skip

    @admin.display(description="seconds")
    def took_seconds(self, call: ToolCall) -> float | None:
        """Return its duration where it was measured."""
        return call.took_seconds

    @admin.display(description="arguments")
    def arguments(self, call: ToolCall) -> str:
        """Return the arguments as they were sent."""
        return show_json(call.args)
