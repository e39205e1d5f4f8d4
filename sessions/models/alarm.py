"""An alarm: a session has become stuck or lost, or needs a person, and it is not decided yet who is told."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models

from sessions.models.prepared import Place, prepared
from sessions.models.watched import Liveness
from sessions.models.writing import born, insert

if TYPE_CHECKING:
    from sessions.models.session import Session


class AlarmKind(models.TextChoices):
    """What people want to hear of."""

    STUCK = "stuck", "Stuck"
    LOST = "lost", "Lost"
    NEEDS = "needs", "Needs you"


class AlarmManager(models.Manager["Alarm"]):
    """Birth of alarms; only `Session.record` calls it, under the session's lock."""

    def raise_for(
        self, session: "Session", *, changed: Collection[str], now: datetime, is_reminder: bool = False
    ) -> None:
        """Write the alarm that a change of these columns gives cause for, if any: in the change's own transaction.

        A reminder is news although nothing has changed: a person is still waited for.
        """
        kind = AlarmKind.NEEDS if is_reminder else _kind_of(session, changed)
        if kind is None or session.is_imported or session.is_deleted:
            return
        if not _raised(session.pk, session.last_seq):  # whatever was raised before, the agent's write goes on
            insert([born(Alarm, session_id=session.pk, seq=session.last_seq, kind=kind, at=now)])


def _kind_of(session: "Session", changed: Collection[str]) -> str | None:
    """Return what people would be told of. Another request that now waits the longest is news, too."""
    if session.needs and not {"needs", "needs_since"}.isdisjoint(changed):
        return AlarmKind.NEEDS
    if session.liveness in {Liveness.STUCK, Liveness.LOST} and "liveness" in changed:
        return AlarmKind(session.liveness)
    return None


class Alarm(models.Model):
    """One alarm; it is gone as soon as its deliveries are written."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+", db_index=False)
    seq = models.BigIntegerField(help_text="The newest event of the change.")
    kind = models.CharField(max_length=10, choices=AlarmKind)
    at = models.DateTimeField()

    objects = AlarmManager()

    class Meta:
        """A short queue, read from its beginning."""

        constraints = [
            models.UniqueConstraint(fields=["session", "seq"], name="alarm_once"),
            models.CheckConstraint(condition=models.Q(kind__in=AlarmKind.values), name="alarm_kind"),
        ]

    def __str__(self) -> str:
        """Return the kind and where in the log it stands."""
        return f"{self.kind} at {self.seq}"


@prepared
def _raised(session_id: Place, seq: Place) -> "models.QuerySet[Alarm, int]":
    return Alarm.objects.filter(session=session_id, seq=seq).values_list("pk", flat=True)
