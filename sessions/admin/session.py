"""Sessions: found by id, title or key; deleted through their own verbs, with all that follows from that."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from sessions.admin.purging import purge_selected
from sessions.admin.records import RecordAdmin, link_to, list_of, read_uuid
from sessions.exceptions import NotFound
from sessions.models import (
    Checkpoint,
    Command,
    Event,
    File,
    Message,
    Metadata,
    Request,
    Session,
    ToolCall,
    Turn,
    Usage,
    who,
)

_BELOW = (Message, Turn, ToolCall, Request, Command, Event, Usage, Metadata, File, Checkpoint)
"""The records that hang on a session, in the order in which its page links to them."""


@admin.register(Session)
class SessionAdmin(RecordAdmin[Session]):
    """Sessions, newest born first."""

    list_display = (
        "titled", "agent_name", "project_name", "owner", "source", "state", "liveness", "needs", "message_count",
        "last_activity_at", "status",
    )  # fmt: skip
    list_filter = ("status", "state", "needs", "liveness")
    search_help_text = "An id, part of a title, or the beginning of a key."
    actions = ("remove_softly", purge_selected)
    fieldsets = (
        (None, {"fields": ("titled", "uuid", "links")}),
        (
            "Who and what",
            {
                "fields": (
                    "owner", "source", "key", "agent_name", "project_root", "mode", "model", "provider",
                    "visibility", "status", "parent", "parent_tool_call_id", "active_checkpoint", "is_imported",
                )
            },
        ),
        (
            "State and watch",
            {
                "fields": (
                    "state", "turn_id", "turn_started_at", "liveness", "liveness_since", "liveness_reason",
                    "liveness_seq", "needs", "needs_since", "next_deadline_at", "heard_at", "progressed_at",
                    "heartbeat_at", "heartbeat_interval_seconds", "expected_by", "stuck_after_seconds",
                    "doing", "doing_detail", "failed_checks",
                )
            },
        ),
        (
            "Figures",
            {
                "fields": (
                    "message_count", "turn_count", "last_seq", "prompt_tokens", "completion_tokens",
                    "cache_read_tokens", "cache_creation_tokens", "thinking_tokens", "api_call_count",
                    "tool_call_count", "tool_success_count", "tool_failed_count", "tool_rejected_count",
                    "tool_aborted_count", "context_used", "context_max",
                )
            },
        ),
        ("Times", {"fields": ("created_at", "updated_at", "last_activity_at", "deleted_at")}),
    )  # fmt: skip

    def for_list(self, rows: QuerySet[Session]) -> QuerySet[Session]:
        """Return the rows with their owner and what the list shows."""
        own = (
            "uuid", "title", "key", "agent_name", "project_root", "source", "state", "liveness", "needs",
            "message_count", "last_activity_at", "status",
        )  # fmt: skip
        return rows.select_related("owner").only(*own, "owner__username")

    def find(self, rows: QuerySet[Session], term: str) -> QuerySet[Session]:
        """Return the session with this id, else those whose title holds the term or whose key begins with it."""
        session_id = read_uuid(term)
        if session_id is not None:
            return rows.filter(uuid=session_id)
        return rows.filter(Q(title__icontains=term) | Q(key__startswith=term))

    def view_on_site(self, obj: Session) -> str:
        """Return the path of the session's own page."""
        return reverse("web:session", args=[obj.uuid])

    @admin.display(description="title")
    def titled(self, session: Session) -> str:
        """Return the title, cut for the list."""
        return Truncator(session.display_title).chars(80)

    @admin.display(description="project")
    def project_name(self, session: Session) -> str:
        """Return the last part of the project's path."""
        return session.project_name

    @admin.display(description="records")
    def links(self, session: Session) -> SafeString:
        """Return links to all that hangs on the session, and to its sub-agents' sessions."""
        places = [(list_of(model), "session", model._meta.verbose_name_plural) for model in _BELOW]  # noqa: SLF001
        places.append((list_of(Session), "parent", "sub-agents"))
        links = ((url, field, session.pk, name) for url, field, name in places)
        return format_html_join(" · ", '<a href="{}?{}__id__exact={}">{}</a>', links)

    @admin.action(description="Delete selected sessions (their ids still read)", permissions=["delete"])
    def remove_softly(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Delete softly, as every door does."""
        by = who(request.user)
        removed = [session.remove(by=by) for session in queryset]
        said = f"{sum(removed)} deleted, {removed.count(False)} had been deleted before."
        self.message_user(request, said, messages.SUCCESS)

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[Callable[..., Any], str, str] | None]:
        """Return the actions; Django's own is named by what it does here."""
        actions = super().get_actions(request)
        if own := actions.get("delete_selected"):
            actions["delete_selected"] = (own[0], own[1], "Destroy selected sessions, for good")
        return actions

    def has_delete_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Ask Django's own permission; it covers all that is below a session."""
        return request.user.has_perm("koda_sessions.delete_session")

    def get_deleted_objects(
        self, objs: Sequence[Session] | QuerySet[Session], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Tell what a destruction takes along, sub-agents' sessions and forks too, parents first.

        From the counters: collecting it would load whole conversations.
        """
        sessions = Session.objects.with_descendants(objs)
        named = [format_html("{}: {}", "Session", link_to(session, session.display_title)) for session in sessions]
        counts = {
            "sessions": len(sessions),
            "messages": sum(session.message_count for session in sessions),
            "events": sum(session.last_seq for session in sessions),
            "turns": sum(session.turn_count for session in sessions),
            "tool calls": sum(session.tool_call_count for session in sessions),
        }
        return list(named), counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        """Destroy one session."""
        obj.destroy(by=who(request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Destroy each; one that went with its parent is gone already."""
        for session in queryset:
            with suppress(NotFound):
                session.destroy(by=who(request.user))

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Session] | Sequence[Session]) -> list[LogEntry]:
        """Note nothing here: the audit log does, by the id. Django's own log would keep the title of what is gone."""
        return []
