"""The log of events, and what came of it between agents and people: requests and commands."""

from django.contrib import admin
from django.db.models import QuerySet

from sessions.admin.records import OpenFilter, RecordAdmin, head_of, show_json, show_text
from sessions.models import Command, Event, Request


@admin.register(Event)
class EventAdmin(RecordAdmin[Event]):
    """Events, newest first over all sessions."""

    columns = ("seq", "type", "turn_id", "received_at")
    list_display = ("id", "session_link", "seq", "type", "told", "turn_id", "received_at")
    fields = ("session", "seq", "type", "payload_shown", "event_id", "turn_id", "at", "received_at", "lengths")

    def for_list(self, rows: QuerySet[Event]) -> QuerySet[Event]:
        """Add the beginning of the payload."""
        return super().for_list(rows).annotate(told=head_of("payload"))

    @admin.display(description="payload")
    def told(self, event: Event) -> str:
        """Return the beginning of the payload."""
        return getattr(event, "told", None) or ""

    @admin.display(description="payload")
    def payload_shown(self, event: Event) -> str:
        """Return the payload."""
        return show_json(event.payload)

    @admin.display(description="lengths of joined parts")
    def lengths(self, event: Event) -> str:
        """Return how long the joined deltas were."""
        return show_json(event.part_lengths)


@admin.register(Request)
class RequestAdmin(RecordAdmin[Request]):
    """What agents asked of people."""

    columns = ("kind", "tool_name", "status", "opened_at", "closed_at")
    list_display = ("id", "session_link", "kind", "tool_name", "asks", "status", "opened_at", "closed_at")
    list_filter = (("closed_at", OpenFilter),)
    fields = (
        "session", "kind", "request_id", "turn_id", "tool_name", "detail_shown", "preview_shown", "options_shown",
        "status", "opened_seq", "opened_at", "closed_at", "answer_shown", "answered_by",
    )  # fmt: skip

    def for_list(self, rows: QuerySet[Request]) -> QuerySet[Request]:
        """Add the beginning of what is asked."""
        return super().for_list(rows).annotate(asks=head_of("detail"))

    @admin.display(description="detail")
    def asks(self, request: Request) -> str:
        """Return the beginning of what is asked."""
        return getattr(request, "asks", None) or ""

    @admin.display(description="detail")
    def detail_shown(self, request: Request) -> str:
        """Return what is asked."""
        return show_text(request.detail)

    @admin.display(description="preview")
    def preview_shown(self, request: Request) -> str:
        """Return the change that it would make."""
        return show_json(request.preview)

    @admin.display(description="options")
    def options_shown(self, request: Request) -> str:
        """Return the choices."""
        return show_json(request.options)

    @admin.display(description="answer")
    def answer_shown(self, request: Request) -> str:
        """Return what was answered."""
        return show_json(request.answer)


@admin.register(Command)
class CommandAdmin(RecordAdmin[Command]):
    """What people told agents."""

    columns = ("status", "created_at", "delivered_at", "acked_at")
    list_display = ("id", "session_link", "says", "status", "created_at", "delivered_at", "acked_at")
    list_filter = (("acked_at", OpenFilter),)
    fields = (
        "session", "request", "body_shown", "status", "asked_by", "created_at", "delivered_at", "acked_at", "detail",
    )  # fmt: skip

    def for_list(self, rows: QuerySet[Command]) -> QuerySet[Command]:
        """Add the beginning of the command."""
        return super().for_list(rows).annotate(says=head_of("body"))

    @admin.display(description="command")
    def says(self, command: Command) -> str:
        """Return the beginning of the command."""
        return getattr(command, "says", None) or ""

    @admin.display(description="command")
    def body_shown(self, command: Command) -> str:
        """Return the command as it is handed out."""
        return show_json(command.body)
