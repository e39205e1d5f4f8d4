"""The wall and the list of sessions when there are a hundred thousand."""

from functools import partial

from benchmarks.asking import taken_ms
from benchmarks.lines import Line, interleaved, quantile
from benchmarks.run import Run, Size, asked

_P95_MS = 50
_FAR = 1_000
_AS_FAST = 1.25
"""How much longer the far page may take and still count as equally fast."""


def measure(run: Run) -> list[Line]:
    """Measure the pages with few sessions and with all, of which as many are live."""
    size, looks = run.size, run.size.looks
    with run.serve("pages") as target:
        environment = target.environment
        asked(environment, "dataset", "sessions", size.few, size.live)
        few = asked(environment, "looks", "pages", 2)
        asked(environment, "dataset", "sessions", size.sessions)
        many = asked(environment, "looks", "pages", _FAR)
        with target.person() as person:

            def p95(path: str) -> float:
                return quantile(taken_ms(person, path, count=looks), 0.95)

            paths = zip(("wall", "list", "far"), many, strict=True)
            taken = interleaved({name: partial(p95, path) for name, (path, _) in paths}, rounds=run.rounds)
            asked(environment, "dataset", "sessions", size.full_wall, size.full_wall)
            full = p95("/")
    queries = [(before, after) for (_, before), (_, after) in zip(few, many, strict=True)]
    return _lines(size, {name: float(value) for name, value in taken.items()}, queries, full)


def _lines(size: Size, taken: dict[str, float], counts: list[tuple[int, int]], full: float) -> list[Line]:
    wall, near, far = taken["wall"], taken["list"], taken["far"]
    of_all, goal = f"{size.sessions:,} sessions", f"under {_P95_MS} ms"

    def queries(place: int) -> Line:
        before, after = counts[place]
        return Line(
            "the same, queries", after, "", "as with few", after == before, {f"with {size.few:,}": float(before)}
        )

    return [
        Line(f"wall, {of_all}, {size.live} live, p95", wall, "ms", goal, wall < _P95_MS),
        queries(0),
        Line(f"wall, {of_all}, every band full, p95", full, "ms", "", None),
        Line(f"list, {of_all}, page 1, p95", near, "ms", goal, near < _P95_MS),
        queries(1),
        Line(f"list, {of_all}, page {_FAR:,}, p95", far, "ms", f"{goal}, as fast as page 1",
             far < min(_P95_MS, _AS_FAST * near), {"page 1": near}),
        queries(2),
    ]  # fmt: skip
