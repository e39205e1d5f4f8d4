"""What the row of a session says beside the session's own columns, loaded for many at once."""

from collections.abc import Sequence

from django.db import models
from django.db.models.functions import Substr

from sessions.models.among import give
from sessions.models.message import Message, Role
from sessions.models.request import Request
from sessions.models.session import Session
from sessions.models.session_rows import SessionQuerySet
from sessions.models.turn import Turn

ROW_WORDS = 400
"""Characters of the newest answer that a row is given."""


def worded(sessions: SessionQuerySet) -> SessionQuerySet:
    """Load with each session what its row on the wall says besides what it asks for.

    `last_words` (the beginning of the newest answer) and `last_reason` (why the newest turn ended, where it said so);
    both may be None.
    """
    answers = Message.objects.filter(session=models.OuterRef("pk"), role=Role.ASSISTANT).with_words().order_by("-id")
    newest_turn = Turn.objects.filter(session=models.OuterRef("pk")).order_by("-id")
    rows: SessionQuerySet = sessions.annotate(
        last_words=models.Subquery(answers.values(words=Substr("content", 1, ROW_WORDS))[:1]),
        last_reason=models.Subquery(newest_turn.values("reason_message")[:1]),
    )
    return rows


def with_requests(rows: Sequence[Session]) -> Sequence[Session]:
    """Give each session its open requests as `open_requests`, the oldest first, in one query; return the rows."""
    return give(rows, into="open_requests", by="session_id", ask=Request.objects.open_in)
