"""The charts of the figures page, and the same figures as rows of tables. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TypeVar

from sessions.models import TokenCounts
from sessions.stats import LENGTHS, DayTimes, Figures, Period, TurnFigures
from sessions.templatetags.ages import NARROW, commas, figure, hours, span, whole_span
from sessions.web.charts import Chart, Stack, draw, round_time_up

KINDS = {
    "prompt_tokens": "Input",
    "completion_tokens": "Output",
    "cache_read_tokens": "Cache read",
    "cache_creation_tokens": "Cache written",
    "thinking_tokens": "Thinking",
}
"""The five kinds, in the order of all charts and tables. They are not added up: providers count some within others."""
_ALWAYS_TOLD = frozenset({"prompt_tokens", "completion_tokens"})
"""A sum of 0 of any other kind says no more than that nothing was reported."""
_SMALL, _MIDDLE = 44, 110
_Amount = TypeVar("_Amount", TokenCounts, DayTimes)
_NOTHING = f"{NARROW}00"


@dataclass(frozen=True, slots=True)
class Small:
    """One kind of tokens: its sum, None when nothing was reported, and its own chart."""

    label: str
    total: int | None
    chart: Chart


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A row of a table by day or week."""

    label: str
    counts: TokenCounts | None = None
    times: DayTimes | None = None


def tokens(found: Figures) -> list[Small]:
    """Return one chart a kind, each with a scale of its own; days stand under the last."""
    slots = _in_slots(found.period, found.by_day)
    smalls = []
    for number, (name, label) in enumerate(KINDS.items()):
        amounts = [(slot, _told(counts, name)) for slot, counts in slots]
        stacks = [
            Stack(
                _short(slot, found.period),
                f"{_long(slot)}: {'nothing reported' if amount is None else f'{amount:,} {label.lower()}'}",
                None if amount is None else [("amount", amount)],
            )
            for slot, amount in amounts
        ]
        told = [amount for _, amount in amounts if amount is not None]
        total = sum(told) if told else None
        most = max(amounts, key=lambda pair: pair[1] or 0)[0]
        sentence = f"{label} tokens: " + ("nothing reported" if total is None else f"{total:,} in all")
        sentence += (
            f", most {'on' if most.first == most.last else 'from'} {_long(most)}" if total and len(amounts) > 1 else ""
        )
        is_last = number == len(KINDS) - 1
        chart = draw(
            stacks, name=f"tokens-{number}", sentence=sentence, pixels=_SMALL, write=_figure, names=5 if is_last else 0
        )
        smalls.append(Small(label, total, chart))
    return smalls


def _told(counts: TokenCounts | None, name: str) -> int | None:
    """Return the sum of one kind, None where nothing was reported."""
    amount: int | None = getattr(counts, name, None)
    return amount if name in _ALWAYS_TOLD else amount or None


def token_rows(found: Figures) -> list[SlotRow]:
    """Return the same as rows, the newest first."""
    slots = _in_slots(found.period, found.by_day)
    return [SlotRow(_long(slot), counts=counts) for slot, counts in reversed(slots)]


def times(found: Figures) -> Chart:
    """Return the time in which agents worked, under that in which they waited for a person."""
    slots = _in_slots(found.period, found.times)
    stacks = [
        Stack(
            _short(slot, found.period),
            f"{_long(slot)}: " + (f"{hours(day.working)} working, {hours(day.waiting)} waiting" if day else "no turn"),
            [("live", day.working or 0), ("needs", day.waiting)] if day else None,
        )
        for slot, day in slots
    ]
    sums = found.all_times
    sentence = f"Agents worked {hours(sums.working)} and waited {hours(sums.waiting)} for a person"
    return draw(stacks, name="times", sentence=sentence, pixels=_MIDDLE, write=_hours, round_up=round_time_up)


def time_rows(found: Figures) -> list[SlotRow]:
    """Return the same as rows, the newest first."""
    return [SlotRow(_long(slot), times=day) for slot, day in reversed(_in_slots(found.period, found.times))]


def lengths(turns: TurnFigures) -> Chart:
    """Return how many turns took how long, with lines at the median and at the 95th percentile."""
    rows = length_rows(turns)
    bounds = [*map(_bound, LENGTHS), "more"]
    stacks = [
        Stack(bound, f"{label}: {commas(count)} turns", [("amount", count)])
        for bound, (label, count) in zip(bounds, rows, strict=True)
    ]
    typical, long = turns.median or 0, turns.p95 or 0
    sentence = f"Turn lengths: half took at most {span(typical)}, 95 of 100 at most {span(long)}"
    sentence += f", the longest {span(turns.longest or 0)}"
    marks = [(_place(typical, turns), f"median {span(typical)}")]
    if _place(long, turns) - _place(typical, turns) > 1 / len(stacks):
        marks.append((_place(long, turns), f"p95 {span(long)}"))
    return draw(
        stacks, name="lengths", sentence=sentence, pixels=_MIDDLE, write=_figure, names=len(stacks), marks=marks
    )


def length_rows(turns: TurnFigures) -> list[tuple[str, int]]:
    """Return the classes of lengths with their counts, the shortest first."""
    labels = [f"under {_bound(LENGTHS[0])}"]
    labels += [f"{_bound(low)} to {_bound(high)}" for low, high in pairwise(LENGTHS)]
    labels.append(f"{_bound(LENGTHS[-1])} and more")
    return list(zip(labels, turns.lengths, strict=True))


def _place(seconds: int, turns: TurnFigures) -> float:
    """Return where a length stands across the classes, 0 to 1: within its class in proportion."""
    bounds = [0, *LENGTHS, max(turns.longest or 0, LENGTHS[-1] + 1)]
    number = next((n for n in range(len(LENGTHS)) if seconds < LENGTHS[n]), len(LENGTHS))
    low, high = bounds[number], bounds[number + 1]
    return (number + (seconds - low) / (high - low)) / (len(LENGTHS) + 1)


def _in_slots(period: Period, by_day: Mapping[date, _Amount]) -> list[tuple[Period, _Amount | None]]:
    """Return the days, or weeks, of `period` with the sums of `by_day`; None where nothing is known."""
    slots: list[tuple[Period, _Amount | None]] = []
    for slot in period.slots:
        known = [by_day[day] for day in slot.days if day in by_day]
        slots.append((slot, reduce(add, known) if known else None))
    return slots


def _long(slot: Period) -> str:
    """Return a day or week as titles and tables say it: `5 October`, `5 to 11 October`."""
    if slot.first == slot.last:
        return f"{slot.last.day} {slot.last:%B}"
    first = f"{slot.first.day}" if slot.first.month == slot.last.month else f"{slot.first.day} {slot.first:%B}"
    return f"{first} to {slot.last.day} {slot.last:%B}"


def _short(slot: Period, period: Period) -> str:
    return "today" if slot.last == period.last else f"{slot.last.day} {slot.last:%b}"


def _bound(seconds: int) -> str:
    """Return a bound of a class without what is nothing: `2 m`, not `2 m 00 s`."""
    return whole_span(seconds).partition(_NOTHING)[0]


def _figure(amount: float) -> str:
    return figure(round(amount))


def _hours(seconds: float) -> str:
    return hours(round(seconds)).partition(_NOTHING)[0]
