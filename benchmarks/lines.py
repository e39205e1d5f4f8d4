"""What a benchmark says: one line a figure, the limit or peer of the same run beside it, and the goal."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Figure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of ours. `beside` are the limits and peers, by name, in the same unit."""

    what: str
    ours: float
    unit: str
    goal: str
    is_reached: bool
    beside: Mapping[str, float] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Return the cells of its row."""
        others = "; ".join(f"{name} {number(value)}" for name, value in self.beside.items())
        return [
            self.what,
            f"{number(self.ours)} {self.unit}",
            others or "-",
            self.goal,
            "yes" if self.is_reached else "no",
        ]


def number(value: float) -> str:
    """Return a figure with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def interleaved(figures: Mapping[str, Figure], *, rounds: int) -> dict[str, float]:
    """Return the median of each figure over rounds in which every one is taken once, so that noise meets all alike."""
    taken: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(rounds):
        for name, take in figures.items():
            taken[name].append(take())
    return {name: statistics.median(values) for name, values in taken.items()}


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a table in Markdown."""
    rows = [["what", "here", "beside it, same run", "goal", "reached"], ["---", "---:", "---", "---", "---"]]
    rows += [line.cells() for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
