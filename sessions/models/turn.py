"""A turn: from the prompt to the agent's last word, with the reason for which it ended."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F

from sessions.models.fields import WrittenTextField
from sessions.models.prepared import Place, prepared, prepared_change
from sessions.models.session import Session
from sessions.models.writing import born, insert, update


class TurnEnd(models.TextChoices):
    """Why a turn ended. The first three are Koda's; `abandoned` is ours: its process went away."""

    COMPLETE = "complete"
    CANCELLED = "cancelled"
    ERROR = "error"
    ABANDONED = "abandoned"


CALLS_LOOKED_AT = 500
"""Calls of a session, newest first, among which those are looked for that were announced before their turn began."""


class TurnQuerySet(models.QuerySet["Turn"]):
    """Rows of turns."""

    def open(self) -> "TurnQuerySet":
        """Return the turns that have not ended."""
        return self.filter(ended_at__isnull=True)


_TurnManager = models.Manager.from_queryset(TurnQuerySet)


class TurnManager(_TurnManager["Turn"]):
    """Birth of turns, under the session's lock."""

    def begin(self, session: Session, *, turn_id: str, now: datetime) -> "Turn":
        """Return a turn that begins now; the caller saw that there is none with this id."""
        is_named = session.turn_id == turn_id  # by a state, and messages may have come since
        # An event of a call may name the turn before it begins; that call is open then, as few are at such a time.
        may_have_calls = is_named or session.has_open_calls
        count = self._count_announced(session, turn_id) if may_have_calls else 0
        return self._bear(session, turn_id=turn_id, started_at=now, tool_call_count=count)

    def called(self, session: Session, turn_id: str) -> "Turn | None":
        """Return the turn with this id, None when no start of it was seen."""
        return _called.first(session.pk, turn_id)

    def open_beside(self, session: Session, turn_id: str) -> "list[Turn]":
        """Return the turns that have not ended, without the one with this id."""
        return _open_beside(session.pk, turn_id)

    def begin_of_state(self, session: Session) -> "Turn":
        """Return the turn that the session's state tells of, now that it has a row: it began when that was set."""
        turn_id = str(session.turn_id)
        count = self._count_announced(session, turn_id)
        return self._bear(session, turn_id=turn_id, started_at=session.turn_started_at, tool_call_count=count)

    def count_calls(self, session: Session, turn_id: str, count: int) -> None:
        """Count calls that were asked for in the turn with this id, if it has begun."""
        _count_calls(session.pk, turn_id, count)

    def move_call(self, session: Session, *, out_of: str | None, into: str) -> None:
        """Count a call in the turn in which it begins, and no more in the one in which it was announced."""
        if out_of is not None:
            self.count_calls(session, out_of, -1)
        self.count_calls(session, into, 1)

    def _count_announced(self, session: Session, turn_id: str) -> int:
        """Return how many calls were announced in a turn that has no row yet."""
        newest = session.tool_calls.order_by("-id").values_list("turn_id", flat=True)[:CALLS_LOOKED_AT]
        return list(newest).count(turn_id)

    def _bear(self, session: Session, **facts: Any) -> "Turn":
        session.turn_count += 1
        return insert([born(Turn, session_id=session.pk, **facts)])[0]


class Turn(models.Model):
    """One turn of one session."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="turns", db_index=False)
    turn_id = WrittenTextField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=10, choices=TurnEnd, null=True, blank=True)
    reason_message = WrittenTextField(null=True, blank=True)
    prompt_tokens = models.BigIntegerField(null=True, blank=True)
    completion_tokens = models.BigIntegerField(null=True, blank=True)
    cache_read_tokens = models.BigIntegerField(null=True, blank=True)
    thinking_tokens = models.BigIntegerField(null=True, blank=True)
    elapsed_ms = models.BigIntegerField(null=True, blank=True)
    tool_call_count = models.BigIntegerField(default=0)
    has_final_text = models.BooleanField(default=False, help_text="A footer came: the turn ended with words.")

    objects = TurnManager()

    class Meta:
        """Asked by session in order of birth, and by its own id."""

        constraints = [
            models.UniqueConstraint(fields=["session", "turn_id"], name="turn_id_once"),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True, reason__isnull=True)
                # A null is in no list, yet not outside it either: it must be refused in words of its own.
                | models.Q(ended_at__isnull=False, reason__isnull=False, reason__in=TurnEnd.values),
                name="turn_ends_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["session", "id"], name="turn_in_order"),
        ]

    def __str__(self) -> str:
        """Return its id and how it ended."""
        return f"{self.turn_id} {self.reason or 'open'}"

    @property
    def is_open(self) -> bool:
        """Say whether it has not ended."""
        return self.ended_at is None

    def end(self, reason: str, *, message: str | None, now: datetime) -> None:
        """Close the turn. The caller holds the session's lock."""
        self.ended_at = now
        self.reason = reason
        self.reason_message = message
        update(self, ["ended_at", "reason", "reason_message"])

    def take_footer(self, footer: dict[str, Any]) -> None:
        """Keep the figures of a footer: sums over the turn's model calls."""
        names = ["prompt_tokens", "completion_tokens", "cache_read_tokens", "thinking_tokens", "elapsed_ms"]
        for name in names:
            setattr(self, name, footer.get(name))
        self.has_final_text = True
        update(self, [*names, "has_final_text"])


@prepared
def _called(session_id: Place, turn_id: Place) -> TurnQuerySet:
    return Turn.objects.filter(session=session_id, turn_id=turn_id)


@prepared
def _open_beside(session_id: Place, turn_id: Place) -> TurnQuerySet:
    return Turn.objects.filter(session=session_id).open().exclude(turn_id=turn_id)


@prepared_change
def _count_calls(session_id: Place, turn_id: Place, count: Place) -> tuple[TurnQuerySet, dict[str, Any]]:
    turns = Turn.objects.filter(session=session_id, turn_id=turn_id)
    return turns, {"tool_call_count": F("tool_call_count") + count}
