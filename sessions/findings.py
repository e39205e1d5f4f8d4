"""What does not fit together in a session's records (LIVENESS.md, "How it is found", 8 and 9).

Computed when somebody looks, from the newest stretch of each record, in six queries at most. A finding accuses
nobody: agents die, batches get lost, and older protocols do not tell of everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet

from sessions.models import Event, LoopKind, Message, Outcome, Role, Session, ToolCall, Turn, TurnEnd
from sessions.models.prepared import Place, known, prepared

EVENTS_LOOKED_AT = 2000
CALLS_LOOKED_AT = 5000
RESULTS_LOOKED_AT = 1000
"""Newest events, calls and tool messages of a session that are looked at."""
MOST = 50
"""Findings of one kind, the newest ones."""


class FindingKind(models.TextChoices):
    """What is found, in the order in which it is shown."""

    LOOP = "loop", "goes round in circles"
    CALL_WITHOUT_RESULT = "call_without_result", "call without a result"
    RESULT_WITHOUT_CALL = "result_without_call", "result without a call"
    TURN_WITHOUT_END = "turn_without_end", "turn without an end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding, and where its evidence stands: an event's seq, a message, a call's record, a turn."""

    kind: FindingKind
    sentence: str
    seq: int | None = None
    message_id: int | None = None
    call_id: int | None = None
    """The primary key of the call's record, not the agent's own id."""
    turn_id: str | None = None


def find(session: Session) -> list[Finding]:
    """Return what does not fit together in `session`: by kind, the newest first."""
    events = _telling(session.pk, session.last_seq - EVENTS_LOOKED_AT)
    loops = [event for event in events if event.type == "server.loop_noticed"]
    return [
        *(_of_loop(event) for event in loops[:MOST]),
        *_calls_without_result(session),
        *_results_without_call(session, [event for event in events if event.type == "tool_call_result"]),
        *_turns_without_end(session),
    ]


@prepared
def _telling(session_id: Place, after_seq: Place) -> QuerySet[Event]:
    kinds = ("server.loop_noticed", "tool_call_result")
    return Event.objects.filter(session=session_id, type__in=kinds, seq__gt=after_seq).order_by("-seq")


def _of_loop(event: Event) -> Finding:
    """Return the finding of a loop that was noticed when it was written."""
    tool, count = event.payload["tool"], event.payload["count"]
    is_call = event.payload["kind"] == LoopKind.CALL
    what = "was called with the same arguments" if is_call else "gave the same failing result"
    sentence = f"{tool} {what} at least {count} times in a row."
    return Finding(kind=FindingKind.LOOP, sentence=sentence, seq=event.payload["last_seq"], turn_id=event.turn_id)


def _calls_without_result(session: Session) -> Iterator[Finding]:
    """Yield the calls that are over or left behind and to which no event and no message brought a result.

    Sub-agents' calls have no results by Koda's protocol (contracts/koda.md 4.5).
    """
    if session.is_running:
        bare = _bare_while_running(session.pk, *known(session.turn_id))
    else:
        # The newest step of an agent that only sends messages may still be at work.
        bare = _bare_at_rest(session.pk, *known(_newest_step.first(session.pk)))
    for call in bare:
        what = f"{call.name} {call.detail}".strip()
        why = "the turn ended first" if call.outcome else "the session went on without it"
        yield Finding(
            kind=FindingKind.CALL_WITHOUT_RESULT,
            sentence=f"{what} has no result: {why}.",
            seq=call.start_seq, message_id=call.message_id, call_id=call.pk, turn_id=call.turn_id,
        )  # fmt: skip


@prepared
def _bare_while_running(session_id: Place, turn_id: Place | None = None) -> QuerySet[ToolCall]:
    going_on = Q(turn_id=turn_id) if turn_id else Q(turn_id__isnull=True)
    return _bare(session_id).exclude(going_on, outcome=None)[:MOST]


@prepared
def _bare_at_rest(session_id: Place, step: Place | None = None) -> QuerySet[ToolCall]:
    bare = _bare(session_id)
    return (bare.exclude(outcome__isnull=True, message__isnull=False, message=step) if step else bare)[:MOST]


def _bare(session_id: Place) -> QuerySet[ToolCall]:
    calls = ToolCall.objects.filter(session=session_id).order_by("-id")
    return calls.filter(
        Q(outcome=Outcome.ABORTED) | Q(outcome=None),
        pk__in=calls.values("pk")[:CALLS_LOOKED_AT], result_message=None, result_seq=None, is_sub_agent=False,
    )  # fmt: skip


@prepared
def _newest_step(session_id: Place) -> QuerySet[Message, int]:
    return Message.objects.of(session_id).exclude(role=Role.TOOL).order_by("-id").values_list("pk", flat=True)[:1]


def _results_without_call(session: Session, events: list[Event]) -> Iterator[Finding]:
    """Yield the results, told by events and by messages, that belong to no call that waited for one."""
    if events:
        taken = set(_results_taken(session.pk, events[-1].seq))
        for event in [event for event in events if event.seq not in taken][:MOST]:
            sentence = f"A result came for {event.payload.get('id')}, but no call with this id waited for one."
            yield Finding(kind=FindingKind.RESULT_WITHOUT_CALL, sentence=sentence, seq=event.seq, turn_id=event.turn_id)
    for pk, call_id, turn_id, _ in [row for row in _results(session.pk) if not row[3]][:MOST]:
        whose = f"for {call_id}, but no call with this id waited for one" if call_id else "that names no call"
        yield Finding(
            kind=FindingKind.RESULT_WITHOUT_CALL, sentence=f"A result came {whose}.", message_id=pk, turn_id=turn_id
        )


@prepared
def _results_taken(session_id: Place, from_seq: Place) -> QuerySet[ToolCall, int | None]:
    calls = ToolCall.objects.filter(session=session_id)
    newest = calls.order_by("-id").values("pk")[:CALLS_LOOKED_AT]
    return calls.filter(pk__in=newest, result_seq__gte=from_seq).values_list("result_seq", flat=True)


@prepared
def _results(session_id: Place) -> QuerySet[Message, Any]:
    has_call = Exists(ToolCall.objects.filter(result_message=OuterRef("pk")))
    results = Message.objects.of(session_id).filter(role=Role.TOOL).order_by("-id").annotate(has_call=has_call)
    return results.values_list("pk", "tool_call_id", "turn_id", "has_call")[:RESULTS_LOOKED_AT]


def _turns_without_end(session: Session) -> Iterator[Finding]:
    """Yield the turns that are over without an end. An end without a start is none: it is refused."""
    for turn in _odd_turns(session.pk, *known(session.turn_id if session.is_running else None)):
        yield Finding(
            kind=FindingKind.TURN_WITHOUT_END,
            sentence=f"The turn {turn.turn_id} never said that it ended. {turn.reason_message or ''}".rstrip(),
            turn_id=turn.turn_id,
        )


@prepared
def _odd_turns(session_id: Place, present: Place | None = None) -> QuerySet[Turn]:
    odd = Turn.objects.filter(Q(ended_at=None) | Q(reason=TurnEnd.ABANDONED), session=session_id)
    return (odd.exclude(ended_at__isnull=True, turn_id=present) if present else odd).order_by("-id")[:MOST]
