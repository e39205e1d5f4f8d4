"""Charts as numbers: percent across, pixels down, so that a drawing stretches and its text does not. Pure.

Amounts are grey and states have their colour; what must not be told by colour alone is hatched too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

_GAP = 0.28
"""Part of a column's place that stays empty."""
_AXIS = 18
"""Pixels under the columns, for what they are called."""
_LEAST = 1.5
"""Pixels of the smallest amount that is not nothing."""
_STEPS = (1, 2, 2.5, 5, 10)
_MINUTE, _HOUR = 60, 3600
_SIXTIETHS = (1, 2, 5, 10, 15, 20, 30)
_CLOCK = (
    *_SIXTIETHS,
    *(_MINUTE * number for number in _SIXTIETHS),
    *(_HOUR * number for number in (1, 2, 3, 4, 6, 8, 10)),
)
"""Seconds, minutes and hours that are round to who reads a clock."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What one column stands for: its name, its title, and amounts by kind from the ground up; None is unknown."""

    name: str
    title: str
    amounts: Sequence[tuple[str, float]] | None


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a column as it is drawn."""

    kind: str
    left: str
    width: str
    top: str
    height: str

    @property
    def is_hatched(self) -> bool:
        """Say whether more than colour must tell it apart."""
        return self.kind in {"needs", "failed"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and all of its place, which shows its title to a pointer anywhere over it."""

    left: str
    width: str
    title: str
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class Mark:
    """A line with words: across at an amount, or down at a place."""

    at: str
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its text alternative. `name` is unique on the page."""

    name: str
    sentence: str
    columns: list[Column]
    ground: int
    height: int
    levels: list[Mark]
    names: list[Mark]
    marks: list[Mark]


def draw(
    stacks: Sequence[Stack],
    *,
    name: str,
    sentence: str,
    pixels: int,
    write: Callable[[float], str],
    names: int = 5,
    marks: Sequence[tuple[float, str]] = (),
    round_up: Callable[[float], float] | None = None,
) -> Chart:
    """Return the chart of `stacks`, side by side on a ground `pixels` deep.

    `write` says the amount at the one level that is labelled; at most `names` of the stacks' names stand below
    (0: none). `marks` are lines down at a place between 0 and 1. `round_up` finds the level, which is not below an
    amount; without it, among decimal numbers.
    """
    place = 100 / max(1, len(stacks))
    top = (round_up or _round_up)(max((_sum(stack) for stack in stacks), default=0))
    columns = []
    for number, stack in enumerate(stacks):
        left, width = (number + _GAP / 2) * place, (1 - _GAP) * place
        blocks, ground = [], float(pixels)
        for kind, amount in stack.amounts or ():
            if amount <= 0:
                continue
            height = max(_LEAST, amount / top * (pixels - 1))
            ground -= height
            blocks.append(Block(kind, f"{left:.2f}%", f"{width:.2f}%", f"{max(0, ground):.1f}", f"{height:.1f}"))
        columns.append(Column(f"{number * place:.2f}%", f"{place:.2f}%", stack.title, blocks))
    return Chart(
        name=name,
        sentence=sentence,
        columns=columns,
        ground=pixels,
        height=pixels + (_AXIS if names else 1),
        levels=[Mark("0.5", write(top))] if top else [],
        names=_names(stacks, at_most=names, place=place),
        marks=[_mark(at, label) for at, label in marks],
    )


def share(amounts: Sequence[tuple[str, float]], *, of: float) -> list[Block]:
    """Return a bar across: its parts in order, as long together as they are a part of `of`."""
    blocks, left = [], 0.0
    for kind, amount in amounts:
        width = 100 * amount / of if of else 0
        if width:
            blocks.append(Block(kind, f"{left:.2f}%", f"{width:.2f}%", "0", "8"))
        left += width
    return blocks


def round_time_up(seconds: float) -> float:
    """Return the shortest round time that is not below `seconds`: as clocks divide it, and decimal from ten hours."""
    if seconds > _CLOCK[-1]:
        return _HOUR * _round_up(seconds / _HOUR)
    return next(time for time in (0, *_CLOCK) if time >= seconds)


def _sum(stack: Stack) -> float:
    return sum(amount for _, amount in stack.amounts or ())


def _round_up(amount: float) -> float:
    """Return the smallest round number that is not below `amount`."""
    if amount <= 0:
        return 0
    size: float = 10.0 ** floor(log10(amount))
    return next(step * size for step in _STEPS if step * size >= amount)


def _names(stacks: Sequence[Stack], *, at_most: int, place: float) -> list[Mark]:
    """Return names evenly chosen from the last one backwards; the outer ones stay within the drawing."""
    if not at_most or not stacks:
        return []
    step = ceil(len(stacks) / at_most)
    marks = []
    for number in range(len(stacks) - 1, -1, -step):
        if step > 1 and number == len(stacks) - 1:
            marks.append(Mark("100%", stacks[number].name, "end"))
        elif step > 1 and (number + 0.5) * place < 100 / at_most / 2:
            marks.append(Mark("0%", stacks[number].name, "start"))
        else:
            marks.append(Mark(f"{(number + 0.5) * place:.2f}%", stacks[number].name))
    return marks[::-1]


def _mark(at: float, label: str) -> Mark:
    """Return a line down; its words stand on the side that has room."""
    return Mark(f"{100 * at:.2f}%", label, "end" if at > 0.5 else "start")  # noqa: PLR2004  (the middle)
