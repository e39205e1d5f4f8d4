"""What people tell agents: asked for once, delivered in order by whichever way comes first, then acknowledged.

An EngineCommand is kept exactly as it is handed out (contracts/koda.md 4.3). The first answer to a request wins.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from sessions import liveness, redaction
from sessions.exceptions import Conflict, InvalidRequest, NotFound
from sessions.models import Command, CommandStatus, EventDraft, Needs, Request, Session, who
from sessions.models.fields import require_content, require_name
from sessions.models.prepared import Place, known, prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DELIVERED_AGAIN_AFTER = timedelta(seconds=30)
"""A command without an acknowledgement is handed over again to a poll that comes this much later (API.md 5), unless
its turn is over by then."""

ANSWERS = {
    "approval_response": Needs.APPROVAL,
    "loop_decision": Needs.LOOP_DECISION,
    "ask_user_response": Needs.INPUT,
}
"""Commands that answer a request, and the kind of request that each answers."""
DECISIONS = ("approve", "reject", "reject_with_feedback")
LOOP_ACTIONS = ("stop", "continue50", "continue200")
OUTLIVING_TURN = ("user_prompt", "slash_command", "quit")
"""Commands that still make sense when the turn in which they were asked for has ended."""


def ask(session_id: int, body: dict[str, Any], *, by: "User | None", now: datetime | None = None) -> Command:
    """Ask the session's agent to do `body`, an EngineCommand; an answer closes its request.

    Raises `InvalidRequest` for a command that is none or answers another kind of request, `NotFound` when the request
    that it answers never was, and `Conflict` when that is answered or expired.
    """
    require_command(body)
    body = redaction.clean(body)
    now = now or timezone.now()
    kind = str(body["type"])
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        request = _request_for(session, body) if kind in ANSWERS else None
        if request is not None:
            request.take_answer(body, by=by, now=now)
            Request.objects.let_need(session, now=now)
        command = Command.objects.create(
            session=session,
            request=request,
            body=body,
            turn_id=None if kind in OUTLIVING_TURN else session.turn_id,
            asked_by=by,
            created_at=now,
        )
        asked = EventDraft(
            type="server.command_requested",
            payload={"command_id": command.pk, "command": kind, "by": who(by) if by else None},
            turn_id=session.turn_id,
        )
        session.record([asked, *liveness.settle(session, now)], now=now)
    return command


def are_waiting(session_id: int, *, is_poll: bool = False, now: datetime | None = None) -> bool:
    """Say whether there is anything to hand over to the session's agent now (see `take`)."""
    return bool(_waiting(session_id, *known(_again_before(now or timezone.now(), is_poll=is_poll))))


@prepared
def _waiting(session_id: Place, again_before: Place | None = None) -> "QuerySet[Command, int]":
    rows = Command.objects.filter(session=session_id).deliverable(again_before=again_before)
    return rows.values_list("pk", flat=True)[:1]


def _again_before(now: datetime, *, is_poll: bool) -> datetime | None:
    """Return before when a command must have been delivered to come again now, None where none does."""
    return now - DELIVERED_AGAIN_AFTER if is_poll else None


def take(session_id: int, *, is_poll: bool = False, now: datetime | None = None) -> list[Command]:
    """Return what the session's agent should do now, in order, and mark it delivered.

    To a poll, what was delivered long ago without an acknowledgement comes again (API.md section 5). Raises `NotFound`.
    """
    now = now or timezone.now()
    if not are_waiting(session_id, is_poll=is_poll, now=now):
        return []
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        waiting = Command.objects.filter(session=session).deliverable(again_before=_again_before(now, is_poll=is_poll))
        commands = list(waiting)
        for command in commands:
            command.deliver(now)
        if commands:
            ids = [command.pk for command in commands]
            session.record([EventDraft(type="server.commands_delivered", payload={"command_ids": ids})], now=now)
    return commands


def acknowledge(command_id: int, *, is_obeyed: bool, detail: str = "", now: datetime | None = None) -> Command:
    """Note what became of a command, which is a sign of life and no progress; again, it changes nothing.

    Raises `NotFound` for an unknown command and `Conflict` when it has expired or was acknowledged otherwise.
    """
    require_content("detail", detail)
    now = now or timezone.now()
    with transaction.atomic():
        session_id = Command.objects.filter(pk=command_id).values_list("session_id", flat=True).first()
        if session_id is None:
            raise NotFound("No such command.")
        session = Session.objects.locked(session_id)
        command = Command.objects.get(pk=command_id)
        status = CommandStatus.OBEYED if is_obeyed else CommandStatus.REFUSED
        if command.status == status:
            return command
        if command.is_acknowledged or command.status == CommandStatus.EXPIRED:
            raise Conflict(f"This command is {command.status} already.")
        command.acknowledge(is_obeyed=is_obeyed, detail=redaction.clean(detail), now=now)
        payload = {"command_id": command.pk, "status": command.status}
        session.hear(now, is_progress=False, event_count=0)
        acknowledged = EventDraft(type="server.command_acknowledged", payload=payload)
        session.record([acknowledged, *liveness.settle(session, now)], now=now)
    return command


def require_command(body: dict[str, Any]) -> None:
    """Raise `InvalidRequest` when `body` is not one of Koda's EngineCommands with what it needs."""
    check = _CHECKS.get(str(body.get("type")))
    if check is None:
        raise InvalidRequest.field("type", f"must be one of {', '.join(_CHECKS)}")
    check(body)


def _require_text(body: dict[str, Any], field: str) -> None:
    """Raise `InvalidRequest` when `field` is not text."""
    if not isinstance(body.get(field), str):
        raise InvalidRequest.field(field, "is required and must be text")


def _check_nothing(_body: dict[str, Any]) -> None:
    """Accept a command that is only its type."""


def _check_approval(body: dict[str, Any]) -> None:
    """Require an id and one of the three decisions; feedback must be text."""
    _require_text(body, "id")
    given = body.get("decision")
    decision: dict[str, Any] = given if isinstance(given, dict) else {}
    kind = decision.get("decision")
    if kind not in DECISIONS:
        raise InvalidRequest.field("decision.decision", f"must be one of {', '.join(DECISIONS)}")
    if kind == "reject_with_feedback" and not isinstance(decision.get("feedback"), str):
        raise InvalidRequest.field("decision.feedback", "is required and must be text")


def _check_loop_decision(body: dict[str, Any]) -> None:
    """Require one of the three actions."""
    if body.get("action") not in LOOP_ACTIONS:
        raise InvalidRequest.field("action", f"must be one of {', '.join(LOOP_ACTIONS)}")


def _check_answer(body: dict[str, Any]) -> None:
    """Require an id and an answer; an empty answer means cancelled."""
    _require_text(body, "id")
    _require_text(body, "answer")


def _check_prompt(body: dict[str, Any]) -> None:
    """Require the text of a prompt."""
    _require_text(body, "text")
    require_content("text", body["text"])


def _check_slash_command(body: dict[str, Any]) -> None:
    """Require the command's own name."""
    _require_text(body, "cmd")
    require_name("cmd", body["cmd"])


_CHECKS = {
    "interrupt": _check_nothing,
    "quit": _check_nothing,
    "approval_response": _check_approval,
    "loop_decision": _check_loop_decision,
    "ask_user_response": _check_answer,
    "user_prompt": _check_prompt,
    "slash_command": _check_slash_command,
}


def _request_for(session: Session, body: dict[str, Any]) -> Request:
    """Return the open request that this answers; a loop decision has no id and answers the newest open cap."""
    request_id = "" if body["type"] == "loop_decision" else str(body["id"])
    request = Request.objects.newest(session, kind=ANSWERS[str(body["type"])], request_id=request_id)
    if request is None:
        other = Request.objects.filter(session=session, request_id=request_id).open().first() if request_id else None
        if other is not None:
            fitting = next(command for command, kind in ANSWERS.items() if kind == other.kind)
            raise InvalidRequest.field("type", f"this request is answered by {fitting}")
        raise NotFound("No such request.")
    if not request.is_open:
        raise Conflict(f"This request is {request.status} already.")
    return request
