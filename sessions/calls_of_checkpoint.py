"""What a rewritten history does to the calls of a session, which every history told of so far made."""

from django.db import models

from sessions.models import Message, Outcome, Session, ToolCall, Turn


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
