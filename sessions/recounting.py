"""Counters held against the records that they count, and set right.

Counters are kept in the transaction of each change, so there should be no difference; this finds one that a fault or
a hand in the database has made. What a purge destroyed can no longer be counted: then the kept figure stays.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import models, transaction
from django.utils import timezone

from sessions.models import TOKEN_NAMES, EventDraft, Outcome, Session

_LEDGER = (*TOKEN_NAMES, "api_call_count")
_PURGED = "server.messages_purged"


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter of a session that is not what the records say."""

    counter: str
    kept: int
    counted: int


def differences(session: Session) -> list[Difference]:
    """Return the counters of a session that differ from its records, in five queries; nothing is changed.

    Messages and turns are counted, tokens summed from the ledger. Tool calls are counted unless a purge has
    destroyed some: it leaves their figures as they were.
    """
    counted = {"message_count": session.messages.count(), "turn_count": session.turns.count()}
    sums = session.usage.aggregate(**{name: models.Sum(name, default=0) for name in _LEDGER})
    counted |= {name: int(value) for name, value in sums.items()}
    if not session.events.filter(type=_PURGED).exists():
        counted |= _tool_calls(session)
    kept = {name: getattr(session, name) for name in counted}
    return [Difference(name, kept[name], value) for name, value in counted.items() if kept[name] != value]


def _tool_calls(session: Session) -> dict[str, int]:
    """Count the calls of a session, in all and by outcome."""
    rows = session.tool_calls.order_by().values_list("outcome").annotate(count=models.Count("pk"))
    by_outcome = dict(rows)
    figures = {f"tool_{outcome}_count": by_outcome.get(outcome, 0) for outcome in Outcome.values}
    return {"tool_call_count": sum(by_outcome.values()), **figures}


def differences_held(session_id: int) -> list[Difference]:
    """Return the same of the session as it is now, while nobody can write to it. Raises `NotFound`."""
    with transaction.atomic():
        return differences(Session.objects.locked(session_id))


def correct(session_id: int, *, by: str, now: datetime | None = None) -> list[Difference]:
    """Set the counters of a session right; return what differed. Without a difference nothing is recorded.

    Raises `NotFound`.
    """
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        found = differences(session)
        if found:
            counted = {difference.counter: difference.counted for difference in found}
            session.take_counts(counted)
            event = EventDraft(type="server.session_recounted", payload={**counted, "by": by})
            session.record([event], now=now or timezone.now())
    return found
