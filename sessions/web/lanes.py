"""Where the time of a turn went: to the model, to tools, to waiting for a person. Pure; the template only draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sessions.templatetags.ages import span

KINDS = ("model", "tool", "waiting")
_TOPS = {"model": 0, "tool": 7, "waiting": 14}
_NARROWEST = 0.25
"""Percent of the width below which a bar cannot be seen; nearer neighbours of one kind are drawn as one."""

Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Lane:
    """One piece of a lane: percent across, pixels down."""

    kind: str
    left: str
    width: str
    top: int
    title: str


@dataclass(frozen=True, slots=True)
class Split:
    """The stretches of a turn by kind. Whoever waits for a person waits, whatever else is open; a tool comes next."""

    start: datetime
    end: datetime
    stretches: dict[str, list[Stretch]]

    @property
    def total(self) -> timedelta:
        """Return how long the turn took."""
        return self.end - self.start

    def sum_of(self, kind: str) -> timedelta:
        """Return the time that went to `kind`."""
        return sum((until - since for since, until in self.stretches[kind]), timedelta())

    @property
    def sentence(self) -> str:
        """Return all of it in words."""
        sums = [f"{kind} {span(self.sum_of(kind))}" for kind in KINDS if self.sum_of(kind)]
        return f"{span(self.total)}: {', '.join(sums) or 'no time'}"

    def lanes(self, scale: timedelta) -> list[Lane]:
        """Return what to draw when the whole width is `scale`."""
        whole = max(scale.total_seconds(), 0.001)
        drawn = []
        for kind in KINDS:
            near = timedelta(seconds=whole * _NARROWEST / 100)
            for since, until in _joined(self.stretches[kind], gap=near):
                left = 100 * (since - self.start).total_seconds() / whole
                width = max(100 * (until - since).total_seconds() / whole, _NARROWEST)
                title = f"{kind} {span(until - since)}, after {span(since - self.start)}"
                drawn.append(Lane(kind, f"{left:.2f}%", f"{width:.2f}%", _TOPS[kind], title))
        return drawn


def split(start: datetime, end: datetime, *, tools: Sequence[Stretch], waits: Sequence[Stretch]) -> Split:
    """Return the turn from `start` to `end` taken apart; what lies outside is cut off, and nothing counts twice."""
    end = max(start, end)
    waiting = _joined(_within(waits, start, end))
    working = _without(_joined(_within(tools, start, end)), waiting)
    model = _without([(start, end)] if end > start else [], _joined([*working, *waiting]))
    return Split(start, end, {"model": model, "tool": working, "waiting": waiting})


def _within(stretches: Sequence[Stretch], start: datetime, end: datetime) -> list[Stretch]:
    cut = ((max(since, start), min(until, end)) for since, until in stretches)
    return [(since, until) for since, until in cut if until > since]


def _joined(stretches: Sequence[Stretch], *, gap: timedelta = timedelta()) -> list[Stretch]:
    """Return the stretches in order, with those as one that overlap or lie no further apart than `gap`."""
    joined: list[Stretch] = []
    for since, until in sorted(stretches):
        if joined and since - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((since, until))
    return joined


def _without(stretches: Sequence[Stretch], taken: Sequence[Stretch]) -> list[Stretch]:
    """Return what is left of the stretches; both are in order, and none overlaps its own."""
    left: list[Stretch] = []
    for since, until in stretches:
        at = since
        for taken_since, taken_until in taken:
            if taken_until <= at or taken_since >= until:
                continue
            if taken_since > at:
                left.append((at, taken_since))
            at = max(at, taken_until)
        if at < until:
            left.append((at, until))
    return left
