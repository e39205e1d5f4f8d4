"""Pictures drawn on the server: state icons and sparklines, as plain SVG that a strict policy allows."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sessions.models import Session

register = template.Library()

LABELS = {
    "needs": "Needs you",
    "stuck": "Stuck",
    "lost": "Lost",
    "failed": "Failed",
    "live": "Live",
    "quiet": "Quiet",
    "unknown": "Running, source reports no events",
    "resting": "Resting",
    "offline": "Offline",
    "behind": "Behind",
}
_SYMBOLS = {"resting": "rest", "offline": "lost", "behind": "quiet"}
_BAR, _PITCH, _HEIGHT = 3, 4, 20


@register.simple_tag
@lru_cache(maxsize=200)
def icon(state: str, label: str | None = None, css_class: str = "icon") -> SafeString:
    """Return the icon of `state`; `label` is for who cannot see it, an empty one hides it from them."""
    label = LABELS.get(state, state.capitalize()) if label is None else label
    symbol = _SYMBOLS.get(state, state)
    if not label:
        return format_html('<svg class="{}" aria-hidden="true"><use href="#i-{}"/></svg>', css_class, symbol)
    return format_html('<svg class="{}" role="img" aria-label="{}"><use href="#i-{}"/></svg>', css_class, label, symbol)


@register.simple_tag
def sparkline(session: Session, now: datetime) -> SafeString:
    """Return the events of the last twelve minutes as bars, the newest at the right."""
    return _spark(tuple(session.beat_counts(now)))


@lru_cache(maxsize=500)
def _spark(counts: tuple[int, ...]) -> SafeString:
    total, width = sum(counts), len(counts) * _PITCH
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{} events in 12 minutes">'
        '<line x1="0" x2="{}" y1="19.5" y2="19.5"/><path d="{}"/></svg>',
        width, _HEIGHT, total, width - 1, bars(counts),
    )  # fmt: skip


def bars(counts: Sequence[int]) -> str:
    """Return the path of one bar a count; heights grow with the square root, so that one event still shows."""
    highest = max(counts, default=0)
    return "".join(
        f"M{place * _PITCH} 19v-{height}h{_BAR}v{height}z"
        for place, count in enumerate(counts)
        if count and (height := max(2, round(18 * (count / highest) ** 0.5)))
    )


@register.simple_tag
@lru_cache(maxsize=200)
def meter(percent: int | None) -> SafeString:
    """Return a small bar that is `percent` full; unknown is an empty place of the same width."""
    if percent is None:
        return SafeString('<svg class="meter none" aria-hidden="true"></svg>')
    return format_html(
        '<svg class="meter" viewBox="0 0 24 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="4"/></svg>',
        f"{percent * 0.24:.1f}",
    )


@register.filter
def rank(session: Session) -> int:
    """Return the place of a row within its band, smallest first, as `SessionQuerySet.in_band` orders them."""
    at = {
        "needs": session.needs_since,
        "adrift": session.progressed_at,
        "running": session.turn_started_at,
        "recent": session.last_activity_at,
    }[session.band]
    milliseconds = int(at.timestamp() * 1000) if at else 0
    return -milliseconds if session.band == "recent" else milliseconds
