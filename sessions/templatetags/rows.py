"""The row of a session, put together once: a template that asks the session itself asks most of it several times."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString

from sessions.models import Request, Session
from sessions.models.session_rows import Band
from sessions.templatetags.ages import DASH, age, ago, commas, figure
from sessions.templatetags.cleartext import on_one_line
from sessions.templatetags.pictures import icon, meter, rank, sparkline
from sessions.templatetags.words import now_words

register = template.Library()

_NOBODY = UUID(int=0)
_RESTING = '<span class="icon unseen">Resting</span>'

# What a template of its own would take for fifty rows is a quarter of a page's time: it looks up each piece by name,
# asks of each whether it is safe, and escapes it. Here each is escaped once, where it comes from.
_HEAD = """<li class="session" id="session-{pk}" data-state="{look}" data-band="{band}" data-rank="{rank}" \
data-owner="{owner}"{done}{oob}>
  {pick}{icon}
  <a class="title cut" href="{url}" title="{title}">{title}{unseen}</a>
  <span class="who cut" title="{agent}{place}"><b>{agent}</b> <span>{project}</span></span>
  <span class="now cut"{reason}>{loop}{now}</span>
  {first}
  {second}
  <span class="n context{percent} {meter}</span>
  <span class="n tokens{tokens}</span>
  {picture}
  """
_TAIL = """
  <span class="source cut" title="{source}">{source}</span>
</li>
"""
_PICK = """<input class="pick" type="checkbox" form="bulk" name="pick" value="{uuid}" id="pick-{pk}" \
aria-label="Tick {title}"{disabled}>
  """
_DISABLED = ' disabled title="Only its owner and staff may change it"'
_UNSEEN = '<span class="unseen">, done, not opened yet</span>'
_UNREPORTED = f' dim" title="not reported">{DASH}'


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a session in HTML, and what stands between its two halves: a request to answer, or a turn to stop."""

    head: SafeString
    tail: SafeString
    request: Request | None
    is_stoppable: bool


@register.simple_tag
def row_of(session: Session, now: datetime, can_change: bool, oob: str = "", is_listed: bool = False) -> Row:  # noqa: FBT001, FBT002 - a template's arguments
    """Return the row of a session as `worded` and `with_requests` load it.

    `oob` says how htmx swaps it in, `is_listed` that it is ticked.
    """
    band, look, percent, loop, pk = session.band, session.look, session.context_percent, session.loop, session.pk
    title, source = _line(session.display_title), _line(session.source)
    place, reason = _line(session.project_root), _line(session.liveness_reason)
    first, second = _ages(session, band, now)
    is_done = can_change and session.is_unseen
    pick = _PICK.format(uuid=session.uuid, pk=pk, title=title, disabled="" if can_change else _DISABLED)
    head = _HEAD.format(
        pk=pk, look=look, band=band, rank=rank(session), owner=session.owner_id,
        done=" data-done" if is_done else "", unseen=_UNSEEN if is_done else "",
        oob=f' hx-swap-oob="{escape(oob)}"' if oob else "",
        pick=pick if is_listed else "", icon=_RESTING if look == "resting" else icon(look),
        url=address(session), title=title, agent=_line(session.agent_name), project=_line(session.project_name),
        place=f" in {place}" if place else "", reason=f' title="{reason}"' if reason else "",
        loop=f'<b class="loop">{escape(loop)}</b> ' if loop else "", now=now_words(session, now),
        first=first, second=second, picture=sparkline(session, now), meter=meter(percent),
        percent=_UNREPORTED if percent is None else (
            f'" title="{commas(session.context_used)} of {commas(session.context_max)} tokens">{percent} %'
        ),
        tokens=(
            f'" title="{commas(session.prompt_tokens)} in, {commas(session.completion_tokens)} out">'
            f"{figure(session.total_tokens)}"
        ) if session.has_usage else _UNREPORTED,
    )  # fmt: skip
    asked: list[Request] = session.open_requests if can_change and band == Band.NEEDS else []  # type: ignore[attr-defined]
    return Row(
        SafeString(head), SafeString(_TAIL.format(source=source)), next(iter(asked), None),
        not asked and can_change and session.is_running and session.takes_commands,
    )  # fmt: skip


@register.filter
def address(session: Session) -> SafeString:
    """Return where the page of a session is; asking Django for each row would take a tenth of the wall's time."""
    return SafeString(_pattern().replace(str(_NOBODY), str(session.uuid)))


@cache
def _pattern() -> str:
    return reverse("web:session", args=[_NOBODY])


@lru_cache(maxsize=2000)
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
