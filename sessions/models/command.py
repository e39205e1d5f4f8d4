"""A command: what a person tells an agent. It is requested, delivered, and then obeyed, refused or expired."""

from django.conf import settings
from django.db import models

from sessions.models.fields import WrittenJSONField, WrittenTextField


class CommandStatus(models.TextChoices):
    """Where a command stands."""

    REQUESTED = "requested"
    DELIVERED = "delivered"
    OBEYED = "obeyed"
    REFUSED = "refused"
    EXPIRED = "expired"


class CommandQuerySet(models.QuerySet["Command"]):
    """Rows of commands."""

    def undelivered(self) -> "CommandQuerySet":
        """Return what no client has taken yet, in order."""
        return self.filter(status=CommandStatus.REQUESTED).order_by("id")


class Command(models.Model):
    """One EngineCommand, kept exactly as it is handed out."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="commands", db_index=False)
    request = models.ForeignKey(
        "koda_sessions.Request", models.SET_NULL, null=True, blank=True, related_name="commands"
    )
    body = WrittenJSONField(help_text="The EngineCommand.")
    status = models.CharField(max_length=10, choices=CommandStatus, default=CommandStatus.REQUESTED)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    acked_at = models.DateTimeField(null=True, blank=True)
    detail = WrittenTextField(blank=True, default="", help_text="What the agent said when it acknowledged.")

    objects = models.Manager.from_queryset(CommandQuerySet)()

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
