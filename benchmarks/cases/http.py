"""One message a request, and a hundred, over sixteen connections."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import ground, neighbours, raw
from benchmarks.ground import Target
from benchmarks.lines import Line, Taken, are_all, interleaved, is_at_least, median
from benchmarks.load import Load
from benchmarks.run import Run

_SEARCHABLE_SECONDS = 2
_P99_MS = 60


class Posting:
    """Takes the messages a second of one server, and remembers how late its answers were.

    Of ours each request must be answered as wished; of a neighbour's only those count that were.
    """

    def __init__(self, load: Callable[..., Load], *, batch: int, seconds: float, is_strict: bool) -> None:
        self._load = partial(load, batch=batch, seconds=seconds)
        self._batch, self._is_strict = batch, is_strict
        self.p99_ms: list[float] = []

    def __call__(self) -> float:
        """Post for a while."""
        load = self._load()
        assert not (self._is_strict and load.failed), load
        self.p99_ms.append(load.p99_ms)
        return load.a_second * self._batch


def measure(run: Run) -> list[Line]:
    """Measure the product beside the stock path, sqlite3 and google-adk's two services."""
    with ExitStack() as servers:
        ours = servers.enter_context(run.serve("http"))
        stock = servers.enter_context(ground.stock(run.place / "stock"))
        services = {
            f"google-adk ({service})": servers.enter_context(neighbours.adk(run.peers, run.place, service)).load
            for service in ("sqlite", "database")
        }
        loads = {"ours": ours.load, "the stock path": stock.load, **services}
        lines = _lines_of_one(run, ours, loads)
        return lines + _lines_of_a_hundred(run, ours, loads)


def _take(run: Run, batch: int, loads: dict[str, Callable[..., Load]]) -> tuple[dict[str, Taken], dict[str, Posting]]:
    """Take all figures of one size of batch in turns; return them, and who posted."""
    posting = {
        name: Posting(load, batch=batch, seconds=run.seconds, is_strict=name == "ours") for name, load in loads.items()
    }
    rows = partial(raw.rows_a_second, run.place, batch=batch, seconds=run.seconds)
    limits = {"sqlite3 with its index": partial(rows, has_index=True), "sqlite3": partial(rows, has_index=False)}
    return interleaved({**posting, **limits}, rounds=run.rounds), posting


def _lines_of_one(run: Run, ours: Target, loads: dict[str, Callable[..., Load]]) -> list[Line]:
    taken, posting = _take(run, 1, loads)
    figure, searchable = float(taken.pop("ours")), seconds_until_found(ours)
    rivals = [taken[name] for name in loads if name.startswith("google-adk")]
    beats_rivals = are_all(*(is_at_least(figure, 4, rival) for rival in rivals))
    p99, p99_of_stock = (median(posting[name].p99_ms) for name in ("ours", "the stock path"))
    return [
        Line("HTTP, 1 a request", figure, "messages/s", "4 times the stock path and google-adk's faster service",
             are_all(is_at_least(figure, 4, taken["the stock path"]), beats_rivals), taken),
        Line("the same, p99", p99, "ms", f"under {_P99_MS} ms", p99 < _P99_MS, {"the stock path": p99_of_stock}),
        Line("the same, found by the search after", searchable, "s", f"within {_SEARCHABLE_SECONDS} s",
             searchable < _SEARCHABLE_SECONDS),
    ]  # fmt: skip


def _lines_of_a_hundred(run: Run, ours: Target, loads: dict[str, Callable[..., Load]]) -> list[Line]:
    taken, _ = _take(run, 100, loads)
    figure, searchable = float(taken.pop("ours")), seconds_until_found(ours)
    return [
        Line("HTTP, 100 a request", figure, "messages/s", "0.7 of sqlite3 with its index",
             is_at_least(figure, 0.7, taken["sqlite3 with its index"]), taken),
        Line("the same, found by the search after", searchable, "s", f"within {_SEARCHABLE_SECONDS} s",
             searchable < _SEARCHABLE_SECONDS),
    ]  # fmt: skip


def seconds_until_found(target: Target) -> float:
    """Return after how many seconds the search finds what is posted now, right behind a load."""
    word = f"needle{time.monotonic_ns()}"
    path = f"/api/v1/sessions/{target.sessions[0]}/messages"
    with target.agent() as agent:
        agent.post(path, json={"role": "user", "content": word}).raise_for_status()
        began = time.perf_counter()
        while not agent.get("/api/v1/search", params={"q": word}).raise_for_status().json()["items"]:
            assert time.perf_counter() - began < 60, "never found"
            time.sleep(0.02)
        return time.perf_counter() - began
