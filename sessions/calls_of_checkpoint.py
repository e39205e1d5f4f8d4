"""What a rewritten history does to the calls of a session, which every history told of so far made."""

from collections import Counter
from collections.abc import Collection, Mapping

from django.db import models
from django.db.models import Exists, OuterRef, Q

from sessions.models import Message, Outcome, Role, Session, ToolCall, Turn
from sessions.models.batching import batched
from sessions.models.fields import clean_text
from sessions.models.message import MessageQuerySet
from sessions.models.writing import update_all
from sessions.projection import outcome_of


def open_again(session: Session, call_ids: Collection[str]) -> list[int]:
    """Open again those of these calls that have no result in the context, because one comes, or is awaited.

    That is what was taken for aborted, and what ended by a result that a rewritten history left behind. Return their
    ids. The counters of the locked session follow.
    """
    own = ToolCall.objects.filter(session=session, call_id__in=set(map(clean_text, call_ids)), result_seq=None)
    is_in_context = Q(message=None) | Q(message__compacted_at=None)
    is_left = Q(result_message__compacted_at__isnull=False, outcome__isnull=False) & is_in_context
    found = dict(own.filter(Q(result_message=None, outcome=Outcome.ABORTED) | is_left).values_list("pk", "outcome"))
    for outcome, count in Counter(found.values()).items():
        session.count_tool_calls(outcomes={str(outcome): -count})
    own.filter(pk__in=found).update(outcome=None, ended_at=None, result_message=None)
    return sorted(found)


def tie(session_id: int, rows: Mapping[int, int]) -> None:
    """Tie calls and results to the rows that are in the context, given by others which tell the same message."""
    own = ToolCall.objects.filter(session=session_id)
    for name in ("message_id", "result_message_id"):
        for batch in batched(rows):
            calls = list(own.filter(**{f"{name}__in": batch}))
            for call in calls:
                setattr(call, name, rows[getattr(call, name)])
            update_all(calls, [name])


def settle(session: Session, rows: MessageQuerySet, *, awaited: Collection[str]) -> list[int]:
    """Let calls have ended as the results in the context say, now that a rewritten history has moved these rows.

    A result that is in no context any more counts as long as there is no other one: the call was made. One that is
    `awaited` is open. Return the calls that are other than before. The counters of the locked session follow.
    """
    is_tied = Exists(ToolCall.objects.filter(result_message=OuterRef("pk")))
    results = list(rows.unarchived().filter(~is_tied, role=Role.TOOL, tool_call_id__isnull=False))
    names = {str(row.tool_call_id) for row in results}
    opened = open_again(session, names | set(awaited))
    if not results:
        return opened
    known = ToolCall.objects.known(session, names)
    ended = []
    for row in results:
        calls = reversed(known.get(str(row.tool_call_id), []))
        call = next((one for one in calls if one.pk in opened or _waits_for(one, row)), None)
        if call is not None and call.is_open:
            call.end(outcome_of(row.content), now=row.created_at)
            call.result_message_id = row.pk
            ended.append(call)
    session.count_tool_calls(outcomes=Counter(str(call.outcome) for call in ended))
    update_all(ended, ["result_message_id", "outcome", "ended_at"])
    return sorted({*opened, *(call.pk for call in ended)})


def _waits_for(call: ToolCall, result: Message) -> bool:
    """Say whether a call is open and stands before this result, which came back with the history."""
    return call.is_open and call.message_id is not None and call.message_id < result.pk


def count_no_more(session: Session, messages: "models.QuerySet[Message]") -> None:
    """Count the calls that these messages told anew no second time: a purge destroyed them and kept their figures.

    An open one takes up a figure as well: its end will be counted. The caller holds the session's lock and records.
    """
    again = ToolCall.objects.filter(session=session, message__in=messages)
    for turn_id, outcome, count in again.values_list("turn_id", "outcome").annotate(models.Count("pk")).order_by():
        for _ in range(count):
            kept = outcome or _likely_outcome(session)
            session.count_tool_calls(-1, outcomes={kept: -1} if kept else {})
        if turn_id is not None:
            Turn.objects.count_calls(session, turn_id, -count)
    again.update(is_copy=True)


def _likely_outcome(session: Session) -> str | None:
    """Return how a call without a result was counted: as aborted, if any was."""
    likely = sorted(Outcome.values, key=lambda outcome: outcome != Outcome.ABORTED)
    return next((outcome for outcome in likely if getattr(session, f"tool_{outcome}_count")), None)
