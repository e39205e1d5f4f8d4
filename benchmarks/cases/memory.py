"""What the server holds when all of this is done to it, once, twice, three times."""

import time

from benchmarks.asking import taken_ms
from benchmarks.bodies import state_of
from benchmarks.cases.checkpoints import Stepping
from benchmarks.cases.sockets import watching_ours
from benchmarks.ground import Target
from benchmarks.lines import Line
from benchmarks.run import Run, resident_mb
from sessions.live import memory

_SETTLED_SECONDS = memory.EVERY.total_seconds() + 2
"""After each round the server is left alone until it has given back what nobody holds."""
_NO_GROWTH = 1.02
"""Allocators keep and give back pages; a leak of one round's work would show as more."""


def measure(run: Run) -> list[Line]:
    """Do a warm-up and then equal rounds of writing, watching, reading, searching and stepping.

    The warm-up also fills what is kept of texts and times, which has its bounds: else each round would add to it.
    """
    rounds = []
    with run.serve("memory") as target:
        _do_all(run, target)
        _open_each(target)
        for _ in range(run.rounds):
            _do_all(run, target)
            time.sleep(_SETTLED_SECONDS)
            rounds.append(resident_mb(target.pid))
    growth = rounds[-1] - rounds[0]
    beside = {f"after round {number}": megabytes for number, megabytes in enumerate(rounds, 1)}
    is_level = rounds[-1] <= _NO_GROWTH * rounds[0]
    return [Line(f"memory, growth over {run.rounds} rounds of all this", growth, "MB", "no growth", is_level, beside)]


def _open_each(target: Target) -> None:
    with target.person() as person:
        for session in target.sessions:
            taken_ms(person, f"/sessions/{session}/", count=1)


def _do_all(run: Run, target: Target) -> None:
    for batch in (1, 100):
        load = target.load(batch=batch, seconds=run.seconds)
        assert load.failed == 0, load
    with watching_ours(target, run.size.sockets) as watched:
        watched.burst(run.size.burst)
    with target.person() as person:
        for path in ("/", "/sessions/", f"/sessions/{target.sessions[0]}/"):
            taken_ms(person, path, count=run.size.looks // 4)
    with target.agent() as agent:
        taken_ms(agent, "/api/v1/search", count=run.size.looks // 4, q="agent")
    with Stepping(target.port, target.key) as stepping:
        stepping.steps_a_second(state_of(run.size.state), seconds=run.seconds)
