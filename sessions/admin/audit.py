"""The audit log, for staff: who signed in or failed to, made a key or a user, decided, took a copy, or purged."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet

from sessions.admin.records import RecordAdmin
from sessions.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin[AuditEntry]):
    """What people did, newest first."""

    list_display = ("id", "at", "by_name", "action", "subject", "detail_shown")
    list_filter = ("action",)
    search_help_text = "The id of a session, a name, or user:3, key:7, shell."
    fields = ("at", "by", "by_name", "action", "subject", "detail_shown")

    def for_list(self, rows: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Return the rows as they are: they belong to no session."""
        return rows

    def find(self, rows: QuerySet[AuditEntry], term: str) -> QuerySet[AuditEntry]:
        """Return what one did, or what was done to one; there are never many."""
        return rows.filter(Q(by=term) | Q(by_name=term) | Q(subject__startswith=term))

    @admin.display(description="detail")
    def detail_shown(self, entry: AuditEntry) -> str:
        """Return the rest in words."""
        return ", ".join(f"{name}: {_in_words(value)}" for name, value in entry.detail.items())


def _in_words(value: Any) -> str:
    """Return a value of the detail: a list as words, what has no words of its own as the API would write it."""
    if isinstance(value, list):
        return " ".join(map(_in_words, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
