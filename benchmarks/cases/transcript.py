"""The page of a long session, at its newest end."""

from functools import partial

from benchmarks.asking import taken_ms
from benchmarks.lines import Line, interleaved, quantile
from benchmarks.run import Run, asked

_P95_MS = 60
_MOST_LOADS = 20


def measure(run: Run) -> list[Line]:
    """Measure the page beside a neighbour that loads as many messages and renders nothing."""
    size, looks = run.size.transcript, run.size.looks
    with run.serve("transcript") as target:
        (uuid,) = asked(target.environment, "dataset", "transcript", size)
        with target.person() as person:

            def ours() -> float:
                return quantile(taken_ms(person, f"/sessions/{uuid}/", count=looks), 0.95)

            loads = (run.place, size, min(looks, _MOST_LOADS))
            ask = partial(run.peers.ask, "openai-agents", "openai-agents-load", *loads)
            figures = {"ours": ours, "openai-agents, loading": lambda: quantile(ask(), 0.95)}
            taken = interleaved(figures, rounds=run.rounds)
    p95 = float(taken.pop("ours"))
    what = f"session page of {size:,} messages, newest end, p95"
    return [Line(what, p95, "ms", f"under {_P95_MS} ms", p95 < _P95_MS, taken)]
