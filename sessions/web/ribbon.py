"""The ribbon: what a session was, over time. Pure; the template only draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format

from sessions.templatetags.ages import span

LONGEST = timedelta(hours=6)
SHORTEST = timedelta(minutes=2)
_TICKS = 6
_HEIGHTS = {"live": (3, 12), "quiet": (6, 6), "unknown": (6, 6), "stuck": (0, 18), "lost": (0, 18), "needs": (0, 18)}
_RESTING = (8, 2)


@dataclass(frozen=True, slots=True)
class Stay:
    """A stretch of time in one state."""

    state: str
    since: datetime
    until: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch as it is drawn: percent across, pixels down."""

    state: str
    left: str
    width: str
    top: int
    height: int
    title: str

    @property
    def is_hatched(self) -> bool:
        """Say whether more than colour must tell it apart."""
        return self.state in {"stuck", "lost"}


@dataclass(frozen=True, slots=True)
class Ribbon:
    """Bars in order, the times below them, and all of it in one sentence."""

    bars: list[Bar]
    ticks: list[str]
    sentence: str


def draw(stays: Sequence[Stay], *, start: datetime, end: datetime) -> Ribbon:
    """Return the ribbon from `start` to `end`; stays outside are cut or left out. Later stays lie over earlier ones."""
    start = max(start, end - LONGEST)
    start = min(start, end - SHORTEST)
    whole = (end - start).total_seconds()
    bars = []
    for stay in stays:
        since, until = max(stay.since, start), min(stay.until, end)
        if until <= since:
            continue
        top, height = _HEIGHTS.get(stay.state, _RESTING)
        left = 100 * (since - start).total_seconds() / whole
        width = 100 * (until - since).total_seconds() / whole
        title = f"{_words(stay.state)} {span(int((stay.until - stay.since).total_seconds()))}"
        title += f": {stay.reason}" if stay.reason else ""
        bars.append(Bar(stay.state, f"{left:.2f}%", f"{max(width, 0.15):.2f}%", top, height, title))
    step = (end - start) / _TICKS
    clock = "H:i" if step >= timedelta(minutes=1) else "H:i:s"  # else the same minute would stand there twice
    ticks = [date_format(timezone.localtime(start + step * place), clock) for place in range(_TICKS + 1)]
    return Ribbon(bars, ticks, _sentence(stays, start=start, end=end))


def _words(state: str) -> str:
    return {"needs": "waited for you"}.get(state, state)


def _sentence(stays: Sequence[Stay], *, start: datetime, end: datetime) -> str:
    sums: dict[str, float] = {}
    for stay in stays:
        seconds = (min(stay.until, end) - max(stay.since, start)).total_seconds()
        if seconds > 0:
            sums[stay.state] = sums.get(stay.state, 0) + seconds
    parts = [f"{_words(state)} {span(int(seconds))}" for state, seconds in sums.items()]
    return f"Over the last {span(int((end - start).total_seconds()))}: {', '.join(parts) or 'nothing known'}"
