"""What a benchmark says: one line a figure, the limit or peer of the same run beside it, and the goal."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Figure = Callable[[], float]
Taken = float | str
"""A figure, or the words that say why there is none."""


class NotRun(Exception):
    """A neighbour has no figure; the words say why."""

    def __str__(self) -> str:
        return f"not run: {self.args[0]}"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of ours. `beside` are the limits and peers, by name, in the same unit.

    `is_reached` is None where the goal is one of a neighbour that was not run, or where there is none.
    """

    what: str
    ours: float
    unit: str
    goal: str
    is_reached: bool | None
    beside: Mapping[str, Taken] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Return the cells of its row."""
        others = "; ".join(f"{name} {number(value)}" for name, value in self.beside.items())
        reached = {True: "yes", False: "no", None: "-"}[self.is_reached]
        return [self.what, f"{number(self.ours)} {self.unit}", others or "-", self.goal or "-", reached]


def number(value: Taken) -> str:
    """Return a figure with three digits that count, or the words in its place."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def interleaved(figures: Mapping[str, Figure], *, rounds: int) -> dict[str, Taken]:
    """Return the median of each figure over rounds in which every one is taken once, so that noise meets all alike.

    A figure that raises `NotRun` is not asked again and has its words.
    """
    taken: dict[str, list[float]] = {name: [] for name in figures}
    missing: dict[str, Taken] = {}
    for _ in range(rounds):
        for name, take in figures.items():
            if name in missing:
                continue
            try:
                taken[name].append(take())
            except NotRun as reason:
                missing[name] = str(reason)
    return {name: missing[name] if name in missing else statistics.median(taken[name]) for name in figures}


def is_at_least(figure: float, part: float, other: Taken) -> bool | None:
    """Say whether `figure` is `part` of the other one or more; None when there is no other one."""
    return None if isinstance(other, str) else figure >= part * other


def are_all(*reached: bool | None) -> bool | None:
    """Say whether all goals are reached; None when none fails and one could not be judged."""
    if False in reached:
        return False
    return None if None in reached else True


def median(values: Sequence[float]) -> float:
    """Return the middle one."""
    return statistics.median(values)


def quantile(taken: Sequence[float], part: float) -> float:
    """Return the value below which `part` of them lie."""
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * part))] if taken else 0.0


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a table in Markdown."""
    rows = [["what", "here", "beside it, same run", "goal", "reached"], ["---", "---:", "---", "---", "---"]]
    rows += [line.cells() for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
