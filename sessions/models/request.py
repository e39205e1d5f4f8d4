"""A request: something that an agent asks of a person and waits for."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models

from sessions.models.among import Among, joined
from sessions.models.command import Command
from sessions.models.fields import WrittenJSONField, WrittenTextField
from sessions.models.prepared import Place, known, prepared, prepared_change
from sessions.models.tool_call import ToolCall
from sessions.models.watched import Needs
from sessions.models.writing import born, insert

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from sessions.models.session import Session


class RequestStatus(models.TextChoices):
    """Where a request stands. A timeout is never recorded as a person's refusal."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"


class RequestQuerySet(models.QuerySet["Request"]):
    """Rows of requests."""

    def open(self) -> "RequestQuerySet":
        """Return the requests that wait, the oldest first."""
        return self.filter(status=RequestStatus.OPEN).order_by("opened_at", "id")

    def settled(self) -> "RequestQuerySet":
        """Return those that nobody has to answer any more; none orders them."""
        return self.exclude(status=RequestStatus.OPEN)

    def of(self, sessions: "models.QuerySet[Session]") -> "RequestQuerySet":
        """Return those of these sessions. Asked for row by row, so that the order comes from an index of requests."""
        return self.filter(models.Exists(sessions.filter(pk=models.OuterRef("session_id"))))

    def for_inbox(self) -> "RequestQuerySet":
        """Load what the inbox says of each: its session, who answered, and what became of the answer."""
        commands = models.Prefetch("commands", Command.objects.order_by("-id"), to_attr="told")
        return self.select_related("session", "session__owner", "answered_by").prefetch_related(commands)


_RequestManager = models.Manager.from_queryset(RequestQuerySet)


class RequestManager(_RequestManager["Request"]):
    """Birth of requests, under the session's lock."""

    def open_one(self, session: "Session", *, opened_seq: int, now: datetime, **what: Any) -> "Request":
        """Write a request that waits from `now` on."""
        return insert([born(Request, session_id=session.pk, opened_seq=opened_seq, opened_at=now, **what)])[0]

    def open_in(self, session_ids: Iterable[int]) -> "list[Request]":
        """Return the requests that wait in these sessions, the oldest first."""
        return _open_in(joined(session_ids))

    def most_urgent(self, session: "Session") -> "Request | None":
        """Return the open request of `session` that has waited longest."""
        return _most_urgent.first(session.pk)

    def let_need(self, session: "Session", *, now: datetime) -> None:
        """Let a locked session need what its longest waiting request asks for, or nothing any more.

        What a person took moves the budgets of the session and of its open calls.
        """
        request = self.most_urgent(session)
        if request is None:
            waited = session.need_nothing(now)
        else:
            waited = session.ask_for(request.kind, since=request.opened_at)
        if waited and session.expected_by is not None:  # else no open call has a budget that counts
            ToolCall.objects.move_budgets([session.pk], waited, until=now)

    def newest(self, session: "Session", *, kind: str, request_id: str) -> "Request | None":
        """Return the newest open request of this kind with the agent's id, else the newest; a cap's id is empty.

        Several may wait at once, and each is answered (API.md 5).
        """
        rows = self.filter(session=session, kind=kind, request_id=request_id).order_by("-id")
        return rows.filter(status=RequestStatus.OPEN).first() or rows.first()

    def expire_in(self, session: "Session", turn_id: str | None, *, now: datetime, tool_name: str | None = None) -> int:
        """Close as expired what still waits in a turn or in none, of one tool or of all; return how many.

        What was asked outside of any turn has no end of its own: the agent has gone on when any turn does.
        """
        if tool_name is not None:
            return _expire_of_tool(now, session.pk, tool_name, *known(turn_id))
        return _expire(now, session.pk, *known(turn_id))


class Request(models.Model):
    """One approval, loop decision or question."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="requests", db_index=False)
    kind = models.CharField(max_length=20, choices=[choice for choice in Needs.choices if choice[0]])
    request_id = WrittenTextField(blank=True, default="", help_text="The agent's id; a cap has none.")
    turn_id = WrittenTextField(null=True, blank=True)
    tool_name = WrittenTextField(blank=True, default="")
    detail = WrittenTextField(blank=True, default="", help_text="What it asks, as the agent put it.")
    preview = WrittenJSONField(null=True, blank=True, help_text="Koda's DiffPreview.")
    options = WrittenJSONField(null=True, blank=True, help_text="Choices of a question; recent tools of a cap.")
    opened_seq = models.BigIntegerField()
    opened_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=RequestStatus, default=RequestStatus.OPEN)
    closed_at = models.DateTimeField(null=True, blank=True)
    answer = WrittenJSONField(null=True, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )

    objects = RequestManager()

    class Meta:
        """Asked for by the inbox (open, oldest first), and by session."""

        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=RequestStatus.values), name="request_status"),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True) ^ ~models.Q(status="open"), name="request_closed_sometime"
            ),
        ]
        indexes = [
            models.Index(fields=["opened_at", "id"], condition=models.Q(status="open"), name="request_inbox"),
            models.Index(fields=["session", "request_id", "-id"], name="request_by_agent_id"),
            # The inbox: what was answered, newest first.
            models.Index(fields=["-closed_at", "-id"], condition=~models.Q(status="open"), name="request_history"),
        ]

    def __str__(self) -> str:
        """Return kind and status."""
        return f"{self.kind} {self.status}"

    @property
    def is_open(self) -> bool:
        """Say whether it waits for a person."""
        return self.status == RequestStatus.OPEN

    @property
    def waited(self) -> timedelta | None:
        """Return how long it took until it was settled; None while it waits."""
        return self.closed_at - self.opened_at if self.closed_at is not None else None

    @property
    def command(self) -> Command | None:
        """Return the command that answered it, when `for_inbox` loaded it and a person did."""
        told: list[Command] = getattr(self, "told", [])
        return told[0] if told else None

    def take_answer(self, answer: dict[str, Any], *, by: "User | None", now: datetime) -> None:
        """Close the request with a person's answer. The caller holds the session's lock and saw it open."""
        self.status = RequestStatus.ANSWERED
        self.answer = answer
        self.answered_by = by
        self.closed_at = now
        self.save(update_fields=["status", "answer", "answered_by", "closed_at"])


@prepared
def _open_in(session_ids: Place) -> RequestQuerySet:
    return Request.objects.filter(Among("session_id", session_ids)).open()


@prepared
def _most_urgent(session_id: Place) -> RequestQuerySet:
    return Request.objects.filter(session=session_id).open()[:1]


@prepared_change
def _expire(now: Place, session_id: Place, turn_id: Place | None = None) -> tuple[RequestQuerySet, dict[str, Any]]:
    rows = Request.objects.filter(_in_turn(turn_id), session=session_id)
    return rows.open(), {"status": RequestStatus.EXPIRED, "closed_at": now}


@prepared_change
def _expire_of_tool(
    now: Place, session_id: Place, tool_name: Place, turn_id: Place | None = None
) -> tuple[RequestQuerySet, dict[str, Any]]:
    rows = Request.objects.filter(_in_turn(turn_id), session=session_id, tool_name=tool_name)
    return rows.open(), {"status": RequestStatus.EXPIRED, "closed_at": now}


def _in_turn(turn_id: Place | None) -> models.Q:
    """Ask for what was asked in a turn, and for what was asked in none."""
    none = models.Q(turn_id=None)
    return none if turn_id is None else none | models.Q(turn_id=turn_id)
