"""The audit log: what people did that somebody may ask about later; kept when what it tells of is gone."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models, transaction
from django.utils import timezone

from sessions.models.event import Event, EventDraft

if TYPE_CHECKING:
    from sessions.models.session import Session

SHELL = "shell"
NOBODY = "nobody"
"""Who tries to sign in is not known yet."""
UNKNOWN_NAME = "an unknown name"
FAILURES_TOGETHER = timedelta(hours=1)
"""Failed attempts to sign in are one entry for so long, so that a stranger cannot fill the log."""
ADDRESSES_KEPT = 20
"""Those, of the newest failures, that an entry names."""
_PEOPLE = re.compile(r"user:\d+|key:\d+|shell|nobody")
"""Those whose deeds are noted; agents, importers and the server itself leave their events in the session's own log."""


def who(user: AbstractBaseUser | AnonymousUser) -> str:
    """Return the word by which events and the log say that a person did it: `user:3`."""
    return f"user:{user.pk}"


def is_person(by: str) -> bool:
    """Say whether it was a person, at the shell or through a key or a browser."""
    return _PEOPLE.fullmatch(by) is not None


class Action(models.TextChoices):
    """What was done."""

    SIGNED_IN = "signed_in", "signed in"
    SIGN_IN_FAILED = "sign_in_failed", "did not get in"
    SIGNED_OUT = "signed_out", "signed out"
    PASSWORD_CHANGED = "password_changed", "changed a password"
    PERSON_ADDED = "person_added", "made a user"
    PERSON_CHANGED = "person_changed", "changed a user"
    GROUP_CHANGED = "group_changed", "changed a group"
    KEY_ISSUED = "key_issued", "made a key"
    KEY_REVOKED = "key_revoked", "revoked a key"
    WEBHOOK_ADDED = "webhook_added", "made a webhook"
    WEBHOOK_CHANGED = "webhook_changed", "changed a webhook"
    WEBHOOK_REMOVED = "webhook_removed", "removed a webhook"
    SHARED = "shared", "changed who may see"
    ANSWERED = "answered", "answered a request"
    COMMANDED = "commanded", "told an agent"
    RELEASED = "released", "released a session"
    COMPACTED = "compacted", "archived messages"
    FORKED = "forked", "forked a session"
    EXPORTED = "exported", "took a copy of a session"
    DELETED = "deleted", "deleted a session"
    DESTROYED = "destroyed", "destroyed for good"
    PURGED = "purged", "purged"
    BACKED_UP = "backed_up", "copied the database"
    RESTORED = "restored", "restored the database"


class AuditEntryManager(models.Manager["AuditEntry"]):
    """Notes what was done, in the transaction in which it is done."""

    def note(self, action: str, *, by: str, subject: str, now: datetime | None = None, **detail: Any) -> None:
        """Note one deed; `by` is `user:3`, `key:7` or `shell`, of whom the present name is kept beside it.

        What agents, importers and the server itself do is not noted here.
        """
        if is_person(by):
            when = now or timezone.now()
            self.create(action=action, by=by, by_name=_name_of(by), subject=subject, detail=detail, at=when)

    def note_failure(self, username: str, *, address: str, now: datetime) -> None:
        """Note that somebody did not get in by this name, or count it, if others failed lately.

        Names that nobody has are one subject: strangers could invent them, and people type passwords there.
        """
        known = get_user_model()._default_manager.filter(username=username)  # noqa: SLF001 - Django's documented way to a swappable user
        subject = known.values_list("username", flat=True).first() or UNKNOWN_NAME
        with transaction.atomic():
            lately = self.select_for_update().filter(action=Action.SIGN_IN_FAILED, at__gt=now - FAILURES_TOGETHER)
            entry = lately.filter(subject=subject).order_by("-pk").first()
            if entry is None:
                detail = {"count": 1, "addresses": [address]}
                self.note(Action.SIGN_IN_FAILED, by=NOBODY, subject=subject, now=now, **detail)
                return
            addresses = [*(one for one in entry.detail["addresses"] if one != address), address]
            entry.detail = {"count": entry.detail["count"] + 1, "addresses": addresses[-ADDRESSES_KEPT:]}
            entry.save(update_fields=["detail"])

    def note_events(self, session: "Session", drafts: Iterable[EventDraft | Event], *, now: datetime) -> None:
        """Note those of a session's new events that tell of something a person did."""
        for draft in drafts:
            action = _action_of(draft.type, draft.payload)
            by = draft.payload.get("by")
            if action is not None and isinstance(by, str) and is_person(by):
                detail = {name: value for name, value in draft.payload.items() if name != "by"}
                if action == Action.SHARED:  # A title that was given with it would outlive its session here.
                    detail = {"changes": {"visibility": detail["changes"]["visibility"]}}
                if action in {Action.ANSWERED, Action.COMMANDED}:
                    detail |= _decision_of(detail["command_id"])
                self.note(action, by=by, subject=str(session.uuid), now=now, **detail)


class AuditEntry(models.Model):
    """One deed. Nothing points from here: what it tells of may be gone."""

    at = models.DateTimeField()
    action = models.CharField(max_length=20, choices=Action)
    by = models.CharField(max_length=50, help_text="user:3, key:7, shell, or nobody.")
    by_name = models.TextField(help_text="What they were called then.")
    subject = models.TextField(help_text="The id of the session, or the name of the key or the user.")
    detail = models.JSONField(default=dict)

    objects = AuditEntryManager()

    class Meta:
        """Read by number, newest first; there are few of them."""

        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(action__in=Action.values), name="audit_action")
        ]

    def __str__(self) -> str:
        """Return the deed as a sentence."""
        return f"{self.by_name} {self.get_action_display()}: {self.subject}"


def _action_of(kind: str, payload: dict[str, Any]) -> str | None:
    """Return what an event of this kind says that somebody did, or None."""
    if kind == "server.session_edited":
        return Action.SHARED if "visibility" in payload.get("changes", {}) else None
    if kind == "server.command_requested":
        return Action.ANSWERED if payload["command"] in _ANSWERS else Action.COMMANDED
    return _ACTIONS.get(kind)


_ANSWERS = {"approval_response", "loop_decision", "ask_user_response"}
_ACTIONS = {
    "server.session_deleted": Action.DELETED,
    "server.turn_abandoned": Action.RELEASED,
    "server.compacted": Action.COMPACTED,
}


def _decision_of(command_id: int) -> dict[str, Any]:
    """Return what was decided, and upon what; never the words that somebody wrote."""
    command = apps.get_model("koda_sessions", "Command").objects.select_related("request").get(pk=command_id)
    given = command.body.get("decision")
    decision = given.get("decision") if isinstance(given, dict) else command.body.get("action")
    tool = command.request.tool_name if command.request else None
    return {name: value for name, value in {"decision": decision, "tool": tool}.items() if value}


def _name_of(by: str) -> str:
    """Return what somebody is called now."""
    kind, _, number = by.partition(":")
    if kind == "user":
        user = get_user_model()._default_manager.filter(pk=number).first()  # noqa: SLF001 - Django's documented way to a swappable user
        return user.get_username() if user else by
    if kind == "key":
        key = apps.get_model("koda_sessions", "ApiKey").objects.select_related("user").filter(pk=number).first()
        return f"{key} of {key.user.get_username()}" if key else by
    return by
