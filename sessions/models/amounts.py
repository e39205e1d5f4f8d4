"""Amounts of days and months: how much of what, each under a name, so that any two can be added and taken apart."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from sessions.models.counted import TOKEN_NAMES

Amounts = Counter[str]
"""Whole numbers by name: `NUMBERS`, and what `of_call`, `of_turn` and `of_length` name."""
Days = dict[int, Amounts]
"""Amounts by slot."""

NUMBERS = (
    "session_count",  # sessions that began
    "usage_count",  # entries of the token ledger: without one nothing was reported
    *TOKEN_NAMES,
    "ended_count",  # turns that began then and have ended
    "turn_seconds",  # what these took, without what of it a person was waited for
    "waiting_us",  # microseconds in which a person was waited for
)
"""What every slot has one of; the rest is there only where it is not 0."""
_CALL, _TURN, _LENGTH = "call", "turn", "took"
_OPEN = ""


def of_call(name: str, outcome: str | None) -> str:
    """Return the name under which calls of a tool with this outcome are counted; None: still open."""
    return f"{_CALL}:{outcome or _OPEN}:{name}"


def of_turn(reason: str | None) -> str:
    """Return the name under which turns that ended so are counted; None: still open."""
    return f"{_TURN}:{reason or _OPEN}"


def of_length(seconds: int) -> str:
    """Return the name under which turns that took so long are counted."""
    return f"{_LENGTH}:{seconds}"


def calls_in(amounts: Mapping[str, int]) -> Iterator[tuple[str, str | None, int]]:
    """Yield tool, outcome and count."""
    for rest, count in _in(amounts, _CALL):
        outcome, _, name = rest.partition(":")
        yield name, outcome or None, count


def turns_in(amounts: Mapping[str, int]) -> dict[str | None, int]:
    """Return the counts of turns by the reason for which they ended."""
    return {reason or None: count for reason, count in _in(amounts, _TURN)}


def lengths_in(amounts: Mapping[str, int]) -> dict[int, int]:
    """Return the counts of turns by their length in seconds."""
    return {int(seconds): count for seconds, count in _in(amounts, _LENGTH)}


def _in(amounts: Mapping[str, int], kind: str) -> Iterator[tuple[str, int]]:
    start = f"{kind}:"
    return ((name.removeprefix(start), count) for name, count in amounts.items() if count and name.startswith(start))


def change(old: Mapping[int, Mapping[str, int]], new: Mapping[int, Mapping[str, int]]) -> Days:
    """Return what has to be added to `old` to make it `new`; what is 0 is left out."""
    changed: Days = {}
    for slot in {*old, *new}:
        amounts = Amounts(new.get(slot, {}))
        amounts.subtract(old.get(slot, {}))
        if rest := without_noughts(amounts):
            changed[slot] = rest
    return changed


def without_noughts(amounts: Mapping[str, int]) -> Amounts:
    """Return the amounts that are not 0."""
    return Amounts({name: count for name, count in amounts.items() if count})


def total(all_amounts: Iterable[Mapping[str, int]]) -> Amounts:
    """Return the sums."""
    sums: Amounts = Amounts()
    for amounts in all_amounts:
        sums.update(amounts)
    return sums


# --- Slots ---------------------------------------------------------------------------------------------------


def slot_of_day(day: date) -> int:
    """Return the number of a day: 20260301. No month has one as large."""
    return (day.year * 100 + day.month) * 100 + day.day


def slot_of_month(day: date) -> int:
    """Return the number of a day's month: 202603."""
    return day.year * 100 + day.month


def day_of_slot(slot: int) -> date:
    """Return the day that a number stands for."""
    return date(slot // 10_000, slot // 100 % 100, slot % 100)


def slots_between(first: date, last: date) -> list[int]:
    """Return the slots that together are these days: whole months as such, the others day by day."""
    slots: list[int] = []
    day = first
    while day <= last:
        next_month = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        is_whole = day.day == 1 and next_month - timedelta(days=1) <= last
        slots.append(slot_of_month(day) if is_whole else slot_of_day(day))
        day = next_month if is_whole else day + timedelta(days=1)
    return slots
