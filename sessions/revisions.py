"""Changes of what was said: take the newest message back, replace it, clear all.

The source is ZeroClaw's SessionBackend (contracts/zeroclaw.md 1). What such a change takes away is destroyed, a title
that it made too; tokens stay counted. Each verb is a sign of life, since only an agent takes its own words back.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from sessions import liveness, redaction
from sessions.exceptions import InvalidRequest
from sessions.models import EventDraft, Message, PurgedMessages, Role, Session, ToolCall
from sessions.models.fields import require_content, require_name


def remove_last(session_id: int, *, by: str, now: datetime | None = None) -> bool:
    """Destroy the newest message, with what it told of tool calls; say whether there was one.

    The session stays, `last_activity_at` too. Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        newest = _newest(session)
        if newest is None:
            return False
        rows = session.messages.filter(pk=newest)
        rows.lock_in_order()
        open_again = ToolCall.objects.take_back(session, rows)
        PurgedMessages.objects.note(session, rows)
        rows.only("pk").delete()
        _entitle_anew(session)
        session.count_messages(-1)
        removed = {"message_id": newest, "tool_call_ids": open_again, "by": by}
        _record(session, EventDraft(type="server.message_removed", payload=removed), now=now)
    return True


def replace_last(session_id: int, *, role: str, content: str, by: str, now: datetime | None = None) -> bool:
    """Let the newest message say something else, as `role` of any word; say whether there was one.

    Its id and time stay, `last_activity_at` moves. Raises `NotFound`, `InvalidRequest` or `TooLarge`.
    """
    if not role:
        raise InvalidRequest.field("role", "must not be empty")
    require_name("role", role)
    require_content("content", content)
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        newest = _newest(session)
        if newest is None:
            return False
        _record(session, _replace(session, newest, role=role, content=content, by=by), now=now, activity_at=now)
    return True


def replace(
    session_id: int, *, message_id: int, role: str, content: str | None, by: str, now: datetime | None = None
) -> bool:
    """Let a message say what the store from which it came says by now; say whether it is there.

    Nobody spoke just now: this is no sign of life, and `last_activity_at` stays. Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        if not session.messages.filter(pk=message_id).exists():
            return False
        session.record([_replace(session, message_id, role=role, content=content, by=by)], now=now)
    return True


def clear(session_id: int, *, by: str, now: datetime | None = None) -> int:
    """Destroy all messages and keep the session; return how many there were.

    `last_activity_at` moves if there were any; with none nothing is recorded. Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        rows = Message.objects.filter(session=session)
        count = rows.count()
        if not count:
            return 0
        rows.lock_in_order()
        open_again = ToolCall.objects.take_back(session, rows)
        PurgedMessages.objects.note(session, rows)
        rows.only("pk").delete()
        session.entitle("", is_anew=True)
        session.count_messages(-count)
        cleared = {"count": count, "tool_call_ids": open_again, "by": by}
        _record(session, EventDraft(type="server.messages_cleared", payload=cleared), now=now, activity_at=now)
    return count


def _replace(session: Session, message_id: int, *, role: str, content: str | None, by: str) -> EventDraft:
    """Let a message of a locked session say something else; return the event that tells of it."""
    rows = session.messages.filter(pk=message_id)
    open_again = ToolCall.objects.take_back(session, rows)
    ToolCall.objects.filter(message=message_id).update(message=None)  # those of which an event told
    ToolCall.objects.filter(result_message=message_id).update(result_message=None)
    row = rows.only("session_id", "role").get()
    was_prompt = row.role == Role.USER
    row.rewrite(role=role, content=redaction.clean(content))
    if was_prompt or role == Role.USER:
        _entitle_anew(session)
    return EventDraft(
        type="server.message_replaced", payload={"message_id": message_id, "tool_call_ids": open_again, "by": by}
    )


def _newest(session: Session) -> int | None:
    """Return the id of the newest message, archived or not."""
    return session.messages.order_by("-id").values_list("pk", flat=True).first()


def _entitle_anew(session: Session) -> None:
    """Let a title that the first prompt made follow what is the first prompt now."""
    if session.is_title_derived:
        prompts = session.messages.filter(role=Role.USER).with_words().order_by("id")
        session.entitle(prompts.values_list("content", flat=True).first() or "", is_anew=True)


def _record(session: Session, event: EventDraft, *, now: datetime, activity_at: datetime | None = None) -> None:
    """Record the change of a locked session, and that its agent is alive."""
    session.hear(now, is_progress=True)
    session.note_progress_at(session.last_seq + 1)
    session.record([event, *liveness.settle(session, now)], now=now, activity_at=activity_at)
