"""The row of a session, put together once: a template that asks the session itself asks most of it several times."""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString

from sessions.models import Session
from sessions.models.session_rows import Band
from sessions.templatetags.ages import age, ago, commas, figure
from sessions.templatetags.cleartext import on_one_line
from sessions.templatetags.pictures import icon, meter, rank, sparkline
from sessions.templatetags.words import now_words

register = template.Library()

_NOBODY = UUID(int=0)


@register.simple_tag
def row_of(session: Session, now: datetime, can_change: bool) -> dict[str, Any]:  # noqa: FBT001 - a template's argument
    """Return what the row of a session from `for_rows()` says, in pieces of HTML: each is escaped once."""
    band, look, percent = session.band, session.look, session.context_percent
    first, second = _ages(session, band, now)
    row: dict[str, Any] = {
        "pk": SafeString(session.pk), "uuid": SafeString(session.uuid), "owner": SafeString(session.owner_id),
        "url": address(session), "band": SafeString(band), "look": SafeString(look), "rank": SafeString(rank(session)),
        "title": _line(session.display_title), "source": _line(session.source),
        "agent": _line(session.agent_name), "project": _line(session.project_name),
        "place": _line(session.project_root), "reason": _line(session.liveness_reason),
        "loop": session.loop, "now": now_words(session, now), "first": first, "second": second,
        "picture": sparkline(session, now), "meter": meter(percent),
        "icon": SafeString('<span class="icon unseen">Resting</span>') if look == "resting" else icon(look),
        "is_done": can_change and session.is_unseen,
        "percent": None, "context": None, "tokens": None, "usage": None, "request": None,
    }  # fmt: skip
    if percent is not None:
        row["percent"] = SafeString(percent)
        row["context"] = SafeString(f"{commas(session.context_used)} of {commas(session.context_max)} tokens")
    if session.has_usage:
        row["tokens"] = SafeString(figure(session.total_tokens))
        row["usage"] = SafeString(f"{commas(session.prompt_tokens)} in, {commas(session.completion_tokens)} out")
    if can_change and band == Band.NEEDS:
        row["request"] = next(iter(session.open_requests), None)  # type: ignore[attr-defined]
    row["is_stoppable"] = not row["request"] and can_change and session.is_running and session.takes_commands
    return row


@register.filter
def address(session: Session) -> SafeString:
    """Return where the page of a session is; asking Django for each row would take a tenth of the wall's time."""
    return SafeString(_pattern().replace(str(_NOBODY), str(session.uuid)))


@cache
def _pattern() -> str:
    return reverse("web:session", args=[_NOBODY])


def _line(text: str | None) -> SafeString:
    return escape(on_one_line(text or ""))


def _ages(session: Session, band: str, now: datetime) -> tuple[SafeString, SafeString]:
    """Return the two cells of ages, the one that tells the band's worst in a warm colour."""
    started, heard = session.turn_started_at, session.heard_at
    if band == Band.NEEDS:
        return _cell("age hot", age(session.needs_since, now)), _cell("silent", age(started, now))
    if band == Band.ADRIFT:
        return _cell("age", age(started, now)), _cell("silent hot", age(heard or started, now))
    if band == Band.RUNNING:
        return _cell("age", age(started, now)), _cell("silent", age(heard, now))
    return _cell("age", figure(session.message_count)), _cell("silent", ago(session.last_activity_at, now))


def _cell(css_class: str, content: str) -> SafeString:
    return SafeString(f'<span class="n {css_class}">{content}</span>')
