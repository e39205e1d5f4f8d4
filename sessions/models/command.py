"""A command: what a person tells an agent. It is requested, delivered, and then obeyed, refused or expired."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models

from sessions.models.fields import WrittenJSONField, WrittenTextField
from sessions.models.prepared import Place, prepared_change

if TYPE_CHECKING:
    from sessions.models.session import Session


class CommandStatus(models.TextChoices):
    """Where a command stands."""

    REQUESTED = "requested"
    DELIVERED = "delivered"
    OBEYED = "obeyed"
    REFUSED = "refused"
    EXPIRED = "expired"


class CommandQuerySet(models.QuerySet["Command"]):
    """Rows of commands."""

    def deliverable(self, *, again_before: "datetime | Place | None") -> "CommandQuerySet":
        """Return what a client should get now, in order: the new, and those delivered earlier without an answer.

        None: only the new. What was delivered for another turn than the present one does not come again.
        """
        if again_before is None:
            return self.filter(status=CommandStatus.REQUESTED).order_by("id")
        is_present = models.Q(turn_id=None) | models.Q(turn_id=models.F("session__turn_id"))
        forgotten = models.Q(is_present, status=CommandStatus.DELIVERED, delivered_at__lt=again_before)
        return self.filter(models.Q(status=CommandStatus.REQUESTED) | forgotten).order_by("id")

    def told(self, session_id: "int | Place", turn_id: "str | Place | None") -> "CommandQuerySet":
        """Return what people asked of a session in its present turn, and what waits for its agent, newest first."""
        waits = models.Q(status__in=[CommandStatus.REQUESTED, CommandStatus.DELIVERED])
        present = models.Q(turn_id=turn_id) if turn_id is not None else models.Q(pk=None)
        return self.filter(waits | present, session=session_id).select_related("asked_by").order_by("-id")


_CommandManager = models.Manager.from_queryset(CommandQuerySet)


class CommandManager(_CommandManager["Command"]):
    """Rows of commands, and what ends with their turn."""

    def expire_in(self, session: "Session", turn_id: str) -> int:
        """Close as expired what no client has taken of a turn; return how many."""
        return _expire(session.pk, turn_id)


class Command(models.Model):
    """One EngineCommand, kept exactly as it is handed out."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="commands", db_index=False)
    request = models.ForeignKey(
        "koda_sessions.Request", models.SET_NULL, null=True, blank=True, related_name="commands"
    )
    turn_id = models.TextField(null=True, blank=True, help_text="The turn it is about; with it, it expires.")
    body = WrittenJSONField(help_text="The EngineCommand.")
    status = models.CharField(max_length=10, choices=CommandStatus, default=CommandStatus.REQUESTED)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    acked_at = models.DateTimeField(null=True, blank=True)
    detail = WrittenTextField(blank=True, default="", help_text="What the agent said when it acknowledged.")

    objects = CommandManager()

    class Meta:
        """Asked for by the long poll: one session's undelivered ones, in order."""

        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=CommandStatus.values), name="command_status"),
        ]
        indexes = [
            models.Index(fields=["session", "id"], name="command_in_order"),
            models.Index(
                fields=["session", "id"],
                condition=models.Q(status__in=["requested", "delivered"]),
                name="command_pending",
            ),
        ]

    def __str__(self) -> str:
        """Return type and status."""
        return f"{self.body.get('type', '?')} {self.status}"

    @property
    def kind(self) -> str:
        """Return the type of the EngineCommand."""
        return str(self.body.get("type", ""))

    @property
    def is_acknowledged(self) -> bool:
        """Say whether the agent has said what became of it."""
        return self.acked_at is not None

    def deliver(self, now: datetime) -> None:
        """Note that a client has taken it. The caller holds the session's lock."""
        self.status = CommandStatus.DELIVERED
        self.delivered_at = now
        self.save(update_fields=["status", "delivered_at"])

    def acknowledge(self, *, is_obeyed: bool, detail: str, now: datetime) -> None:
        """Note what became of it. The caller holds the session's lock."""
        self.status = CommandStatus.OBEYED if is_obeyed else CommandStatus.REFUSED
        self.detail = detail
        self.acked_at = now
        self.save(update_fields=["status", "detail", "acked_at"])

    def forget(self) -> None:
        """Keep what kind it was and drop its words; one that was taken and never acknowledged is over with it."""
        self.body, self.detail = {"type": self.kind}, ""
        if self.status == CommandStatus.DELIVERED:
            self.status = CommandStatus.EXPIRED
        self.save(update_fields=["body", "detail", "status"])


@prepared_change
def _expire(session_id: Place, turn_id: Place) -> tuple[CommandQuerySet, dict[str, Any]]:
    rows = Command.objects.filter(session=session_id, turn_id=turn_id, status=CommandStatus.REQUESTED)
    return rows, {"status": CommandStatus.EXPIRED}
