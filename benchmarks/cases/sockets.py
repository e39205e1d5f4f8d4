"""A thousand sockets watch one session."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO

from benchmarks import ground
from benchmarks.lines import Line, interleaved, is_at_least
from benchmarks.run import Run, resident_mb
from tests.conftest import ROOT

_RATE = 5
"""Events a second, steadily."""
_P99_MS = 200
_WITH_SOCKETS_MB = 300
_RIVAL, _LIMIT = "stock Channels", "a bare loop"


class Watching:
    """The process that holds the sockets of one server (`benchmarks.watchers`)."""

    def __init__(self, told: IO[str], says: IO[str]) -> None:
        self._told, self._says = told, says
        self.lost = 0

    def _ask(self, line: str) -> dict[str, float]:
        self._told.write(f"{line}\n")
        self._told.flush()
        answer: dict[str, float] = json.loads(self._says.readline())
        assert not answer["closed"], answer
        self.lost += int(answer["lost"])
        return answer

    def pace(self, count: int) -> float:
        """Post events steadily and return the 99th percentile of how late they came, in ms."""
        return self._ask(f"pace {_RATE} {count}")["p99_ms"]

    def burst(self, count: int) -> float:
        """Post events one behind the other and return how many were delivered a second."""
        return self._ask(f"burst {count}")["a_second"]


@contextmanager
def watching(port: int, path: str, post: str, *, key: str = "none", sockets: int) -> Iterator[Watching]:
    """Open the sockets and give who holds them."""
    given = ["--port", str(port), "--path", path, "--post", post, "--key", key, "--sockets", str(sockets)]
    command = [sys.executable, "-m", "benchmarks.watchers", *given]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield Watching(process.stdin, process.stdout)
        process.stdin.close()


@contextmanager
def watching_ours(target: ground.Target, sockets: int) -> Iterator[Watching]:
    """Open the sockets on a session of the product."""
    session = target.sessions[0]
    path, post = f"/ws/api/v1/sessions/{session}/", f"/api/v1/sessions/{session}/events"
    with watching(target.port, path, post, key=target.key, sockets=sockets) as watched:
        yield watched


def measure(run: Run) -> list[Line]:
    """Measure the product, a bare loop over the same sockets, and a subscription for each."""
    with ExitStack() as stack:
        target = stack.enter_context(run.serve("sockets"))
        all_watching = {"ours": stack.enter_context(watching_ours(target, run.size.sockets))}
        memory = resident_mb(target.pid)
        for name, application in ((_LIMIT, "bare"), (_RIVAL, "channels")):
            served = ground.daphne(f"benchmarks.stock_sockets:{application}", dict(os.environ))
            port, _ = stack.enter_context(served)
            all_watching[name] = stack.enter_context(watching(port, "/", "/", sockets=run.size.sockets))
        count = max(1, int(_RATE * run.seconds))
        late = interleaved({name: partial(one.pace, count) for name, one in all_watching.items()}, rounds=run.rounds)
        bursts = {name: partial(one.burst, run.size.burst) for name, one in all_watching.items()}
        rates = interleaved(bursts, rounds=run.rounds)
        memory = max(memory, resident_mb(target.pid))
    lost = {name: float(one.lost) for name, one in all_watching.items()}
    p99, rate, ours_lost = float(late.pop("ours")), float(rates.pop("ours")), lost.pop("ours")
    what = f"one event to {run.size.sockets:,} sockets"
    return [
        Line(f"{what}, {_RATE} a second, p99", p99, "ms", f"under {_P99_MS} ms", p99 < _P99_MS, late),
        Line(f"{what}, one behind the other", rate, "deliveries/s", "6 times stock Channels",
             is_at_least(rate, 6, rates[_RIVAL]), rates),
        Line("the same, lost", ours_lost, "deliveries", "nothing", ours_lost == 0, lost),
        Line(f"memory with {run.size.sockets:,} sockets", memory, "MB", f"{_WITH_SOCKETS_MB} MB",
             memory <= _WITH_SOCKETS_MB),
    ]  # fmt: skip
