"""The cases: each takes its figures interleaved with the limits and peers that stand beside them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import ground, raw
from benchmarks.lines import Line, interleaved
from benchmarks.load import Load
from tests.conftest import ROOT, launch, prepare, stop_server

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Run:
    """What a case is given: a folder of its own, how often and how long to measure, and the peers' interpreter."""

    place: Path
    rounds: int
    seconds: float
    peers: Path | None

    def peer(self, name: str) -> Callable[[], float]:
        """Return the figure of a neighbour."""
        return lambda: float(_last(_run([str(self.peers), "benchmarks/peers.py", name, str(self.place)])))


def over_http(run: Run) -> list[Line]:
    """One message a request, and a hundred, over sixteen connections: the product and the stock path in turn."""
    lines = []
    with ground.product(run.place / "product") as (_, ours), ground.stock(run.place / "stock") as stock:
        for batch, goal in ((1, 4.0), (100, None)):
            loads: dict[str, list[Load]] = {"ours": [], "stock": []}

            def rate(name: str, target: ground.Target, batch: int = batch, loads: dict = loads) -> float:
                load = target.load(batch=batch, seconds=run.seconds)
                assert load.failed == 0, load
                loads[name].append(load)
                return load.a_second * batch

            taken = interleaved(
                {
                    "ours": lambda: rate("ours", ours),
                    "the stock path": lambda: rate("stock", stock),
                    "sqlite3 with its index": lambda: raw.rows_a_second(run.place, batch=batch, has_index=True),  # noqa: B023
                    "sqlite3": lambda: raw.rows_a_second(run.place, batch=batch, has_index=False),  # noqa: B023
                },
                rounds=run.rounds,
            )
            figure = taken.pop("ours")
            if goal:
                reached, words = figure >= goal * taken["the stock path"], f"{goal:g} times the stock path"
            else:
                reached, words = figure >= 0.7 * taken["sqlite3 with its index"], "0.7 of sqlite3 with its index"
            lines.append(Line(f"HTTP, {batch} a request", figure, "messages/s", words, reached, taken))
            p99 = sorted(load.p99_ms for load in loads["ours"])[len(loads["ours"]) // 2]
            rival = sorted(load.p99_ms for load in loads["stock"])[len(loads["stock"]) // 2]
            if batch == 1:
                beside = {"the stock path": rival}
                lines.append(Line("the same, p99", p99, "ms", "under 60 ms", p99 < 60, beside))
    return lines


def in_process(run: Run) -> list[Line]:
    """The verb without HTTP, beside a neighbour that keeps no index and no events."""
    environment = prepare(run.place / "inside")
    lines = []
    for batch, goal in ((1, 1.0), (100, 0.5)):
        figures: dict[str, Callable[[], float]] = {
            "ours": lambda: float(
                _last(_run([sys.executable, "-m", "benchmarks.inside", str(batch)], env=environment))  # noqa: B023
            )
        }
        if run.peers:
            figures["openai-agents"] = run.peer(f"openai-agents-{batch}")
        taken = interleaved(figures, rounds=run.rounds)
        figure = taken.pop("ours")
        reached = not taken or figure >= goal * taken["openai-agents"]
        words = "ahead of openai-agents" if batch == 1 else "half of openai-agents"
        lines.append(Line(f"in process, {batch} at a time", figure, "messages/s", words, reached, taken))
    return lines


def start(run: Run) -> list[Line]:
    """From the command to the first answer, and how much memory it then holds."""
    environment = prepare(run.place / "start")
    memory: list[float] = []

    def once() -> float:
        began = time.perf_counter()
        server = launch(run.place / "start", environment, port=ground.find_free_port())
        lasted = time.perf_counter() - began
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            client.get("/sign-in/").raise_for_status()
        memory.append(_resident(server.process.pid))
        stop_server(server)
        return lasted

    seconds = interleaved({"ours": once}, rounds=run.rounds)["ours"]
    idle = sorted(memory)[len(memory) // 2]
    return [
        Line("start to first answer, warm", seconds, "s", "under 3 s", seconds < 3),
        Line("memory, idle", idle, "MB", "130 MB", idle <= 130),
    ]


def sockets(run: Run) -> list[Line]:
    """A thousand sockets watch one session at five events a second."""
    with ground.product(run.place / "sockets") as (server, ours):
        given = ["--port", str(ours.port), "--key", ours.key, "--session", ours.sessions[0]]
        told = json.loads(
            _run([sys.executable, "-m", "benchmarks.watchers", *given, "--seconds", str(2 * run.seconds)])
        )
        memory = _resident(server.process.pid)
    is_whole = told["lost"] == 0
    words = "under 200 ms, nothing lost"
    return [
        Line("one event to 1,000 sockets, p99", told["p99_ms"], "ms", words, is_whole and told["p99_ms"] < 200),
        Line("memory after 1,000 sockets", memory, "MB", "300 MB", memory <= 300),
    ]


CASES: dict[str, Callable[[Run], list[Line]]] = {
    "http": over_http,
    "inside": in_process,
    "sockets": sockets,
    "start": start,
}


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / MEGABYTE


def _run(command: Sequence[str], **options: object) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return str(done.stdout)


def _last(printed: str) -> str:
    return str(json.loads(printed.strip().splitlines()[-1]))
