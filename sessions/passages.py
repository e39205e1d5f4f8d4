"""Find in one session: where its transcript says something, letter by letter, however long it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat, Greatest, Lower, StrIndex, Substr

from sessions.models import Session, ToolCall

SHOWN = 100
"""Passages that are told, the newest."""
_BEFORE, _LENGTH = 60, 240
"""Characters before a match, and in all, that come with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One place: the message to open at, the call in it if it is there, and the words around the match in three."""

    message_id: int
    call_id: int | None
    role: str
    at: datetime
    is_archived: bool
    words: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """The newest passages, the newest first; `is_more` says that there are older ones."""

    passages: list[Passage]
    is_more: bool = False


def find(session: Session, q: str) -> Found:
    """Return where messages, results and calls of `session` hold `q`, whatever its case (of ASCII at least).

    At most three queries, each over this session's rows only.
    """
    q = q.strip()
    if not q:
        return Found([])
    messages = _holding(session.messages.all(), F("content"), q)
    told = list(messages.values("pk", "role", "created_at", "compacted_at", "around"))
    calls = ToolCall.objects.filter(session=session)
    shown = calls.filter(result_message__in=[row["pk"] for row in told], message__isnull=False)
    inside: dict[int, dict[str, Any]] = {
        row["result_message"]: dict(row) for row in shown.values("result_message", "pk", "message")
    }
    named = Concat(F("name"), Value(" "), F("detail"), output_field=TextField())
    asked = _holding(calls.filter(message__isnull=False), named, q)
    passages = [_of_message(row, inside.get(row["pk"]), q) for row in told]
    passages += [
        _of_call(row, q) for row in asked.values("pk", "message", "message__compacted_at", "started_at", "around")
    ]
    passages.sort(key=lambda one: (one.message_id, one.call_id or 0), reverse=True)
    return Found(passages[:SHOWN], is_more=len(passages) > SHOWN)


def _holding(rows: QuerySet[Any], text: Any, q: str) -> Any:
    """Return the newest rows whose text holds `q`, with what stands `around` it."""
    place = StrIndex(Lower(text), Lower(Cast(Value(q), TextField())))
    around = Substr(text, Greatest(F("place") - _BEFORE, Value(1)), _LENGTH)
    found = rows.annotate(place=place).filter(place__gt=0).annotate(around=around)
    return found.order_by("-pk")[: SHOWN + 1]


def _of_message(row: dict[str, Any], call: dict[str, Any] | None, q: str) -> Passage:
    return Passage(
        message_id=call["message"] if call else row["pk"],
        call_id=call["pk"] if call else None,
        role=row["role"],
        at=row["created_at"],
        is_archived=row["compacted_at"] is not None,
        words=_parted(row["around"], q),
    )


def _of_call(row: dict[str, Any], q: str) -> Passage:
    return Passage(
        message_id=row["message"],
        call_id=row["pk"],
        role="call",
        at=row["started_at"],
        is_archived=row["message__compacted_at"] is not None,
        words=_parted(row["around"], q),
    )


def _parted(around: str, q: str) -> tuple[str, str, str]:
    """Return what stands before the match, the match, and what comes after it."""
    at = around.lower().find(q.lower())
    if at < 0 or len(around.lower()) != len(around):  # some letters change their number with their case
        return around, "", ""
    return around[:at], around[at : at + len(q)], around[at + len(q) :]
