"""From the command to the first answer, and how much memory the server then holds."""

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx

from benchmarks import neighbours
from benchmarks.ground import process, wait_for
from benchmarks.lines import Line, interleaved, median
from benchmarks.run import Run, resident_mb
from tests.conftest import find_free_port, launch, prepare, stop_server

_SECONDS = 3
_IDLE_MB = 130


def measure(run: Run) -> list[Line]:
    """Start the product and its neighbours in turns; what is warm is the disk."""
    place = run.place / "start"
    environment = prepare(place)
    memory: list[float] = []
    _ours(place, environment, [])
    figures = {
        "ours": partial(_ours, place, environment, memory),
        "google-adk": partial(_adk, run),
        "arize-phoenix": partial(_phoenix, run),
    }
    taken = interleaved(figures, rounds=run.rounds)
    seconds, idle = float(taken.pop("ours")), median(memory)
    return [
        Line("start to first answer, warm", seconds, "s", f"under {_SECONDS} s", seconds < _SECONDS, taken),
        Line("memory, idle", idle, "MB", f"{_IDLE_MB} MB", idle <= _IDLE_MB),
    ]


def _ours(place: Path, environment: dict[str, str], memory: list[float]) -> float:
    began = time.perf_counter()
    server = launch(place, environment, port=find_free_port())
    lasted = time.perf_counter() - began
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        client.get("/sign-in/").raise_for_status()
    memory.append(resident_mb(server.process.pid))
    stop_server(server)
    return lasted


def _adk(run: Run) -> float:
    port = find_free_port()
    command = neighbours.adk_command(run.peers, run.place, port, "sqlite")
    return _seconds(command, os.environ, f"http://127.0.0.1:{port}/list-apps")


def _phoenix(run: Run) -> float:
    port = find_free_port()
    command = neighbours.phoenix_command(run.peers)
    return _seconds(command, neighbours.phoenix_environment(run.place, port), f"http://127.0.0.1:{port}/healthz")


def _seconds(command: Sequence[str], environment: Mapping[str, str], url: str) -> float:
    began = time.perf_counter()
    with process(command, environment) as server:
        wait_for(url, server)
        return time.perf_counter() - began
