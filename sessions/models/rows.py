"""What the row of a session says beside the session's own columns, loaded for many at once."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.functions import Substr

from sessions.models.message import Message, Role
from sessions.models.request import Request
from sessions.models.session import Session
from sessions.models.session_rows import SessionQuerySet
from sessions.models.turn import Turn

ROW_WORDS = 400
"""Characters of the newest answer that a row is given."""


def for_rows(sessions: SessionQuerySet) -> SessionQuerySet:
    """Load with each session what its row on the wall says; one more query in all.

    `open_requests` (oldest first), `last_words` (the beginning of the newest answer) and `last_reason`
    (why the newest turn ended, where it said so); the last two may be None.
    """
    rows: SessionQuerySet = worded(sessions).prefetch_related(_asked())
    return rows


def worded(sessions: SessionQuerySet) -> SessionQuerySet:
    """Load all of that but the requests: whoever reads several lists asks for these once, by `with_requests`."""
    answers = Message.objects.filter(session=models.OuterRef("pk"), role=Role.ASSISTANT).with_words().order_by("-id")
    newest_turn = Turn.objects.filter(session=models.OuterRef("pk")).order_by("-id")
    rows: SessionQuerySet = sessions.annotate(
        last_words=models.Subquery(answers.values(words=Substr("content", 1, ROW_WORDS))[:1]),
        last_reason=models.Subquery(newest_turn.values("reason_message")[:1]),
    )
    return rows


def with_requests(rows: Sequence[Session]) -> None:
    """Load the open requests of sessions that came from `worded`."""
    models.prefetch_related_objects(rows, _asked())


def _asked() -> models.Prefetch[Any, Any]:
    return models.Prefetch("requests", Request.objects.open(), to_attr="open_requests")
