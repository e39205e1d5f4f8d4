"""Tool calls that a purge destroyed, by day, tool, outcome and turn: a purge takes words, it does not lower figures."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Count

from sessions.models.fields import WrittenTextField
from sessions.models.spans import UtcDay
from sessions.models.tool_call import ToolCallQuerySet

if TYPE_CHECKING:
    from sessions.models.session import Session


class PurgedCallsManager(models.Manager["PurgedCalls"]):
    """Notes calls before they go."""

    def note(self, session: "Session", calls: ToolCallQuerySet) -> None:
        """Count these calls, which are about to be destroyed; copies were counted in another session."""
        rows = (
            calls.made_here()
            .order_by()
            .annotate(on=UtcDay("started_at"))
            .values_list("on", "name", "outcome", "turn_id")
        )
        self.bulk_create(
            self.model(session=session, day=day, name=name, outcome=outcome, turn_id=turn_id, count=count)
            for day, name, outcome, turn_id, count in rows.annotate(count=Count("pk"))
        )


class PurgedCalls(models.Model):
    """Some calls of one session that began on one day (UTC)."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="purged_calls")
    day = models.DateField()
    name = WrittenTextField()
    outcome = models.CharField(max_length=10, null=True)
    turn_id = WrittenTextField(null=True)
    count = models.BigIntegerField()

    objects = PurgedCallsManager()

    class Meta:
        """Asked by session, and by its turns."""

        verbose_name_plural = "purged calls"
        indexes = [
            models.Index(
                fields=["session", "turn_id"], condition=models.Q(turn_id__isnull=False), name="purged_calls_of_turn"
            ),
        ]

    def __str__(self) -> str:
        """Return how many of which tool."""
        return f"{self.count} {self.name} {self.outcome or 'open'}"
