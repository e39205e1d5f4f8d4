"""A run: how large, how long, where; and the processes that it asks for figures."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.ground import Target, product
from benchmarks.lines import NotRun
from tests.conftest import ROOT

PEERS = ("openai-agents", "google-adk", "langgraph-checkpoint-sqlite", "arize-phoenix")
_PAGE_BYTES = 4096
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is stored and asked for. The defaults are those of the goals."""

    sessions: int = 100_000
    few: int = 1_000
    """Sessions with which all of them are compared."""
    live: int = 50
    """Of these sessions, those that run, wait for a person or are stuck."""
    full_wall: int = 3_000
    """Live sessions that fill every band of the wall."""
    transcript: int = 10_000
    """Messages of the session whose page is opened."""
    messages: int = 1_000_000
    """Messages that are searched."""
    sockets: int = 1_000
    burst: int = 20
    """Events posted one behind the other to all sockets."""
    state: int = 1_000
    """Messages in a checkpoint."""
    checkpoints: int = 1_000
    """Checkpoints of a history that grows by a message each."""
    looks: int = 100
    """Requests of which a percentile is taken."""
    pixels: int = 60
    writer_seconds: float = 60


FULL = Size()
TINY = Size(
    sessions=200, few=60, live=10, full_wall=30, transcript=60, messages=1_000, sockets=10, burst=3, state=10,
    checkpoints=4, looks=3, pixels=3, writer_seconds=0.3,
)  # fmt: skip


@dataclass(frozen=True)
class Peers:
    """The neighbours of the field, in environments whose interpreters are given."""

    pythons: tuple[Path, ...] = ()

    @cached_property
    def _installed(self) -> dict[str, tuple[str, Path]]:
        """Return version and interpreter of each neighbour that is installed."""
        ask = (
            "import importlib.metadata as m, json, sys\n"
            "print(json.dumps({d.name: d.version for d in m.distributions() if d.name in sys.argv}))"
        )
        found = [(python, printed([str(python), "-c", ask, *PEERS])) for python in self.pythons if python.exists()]
        return {name: (version, python) for python, versions in found for name, version in versions.items()}

    @property
    def versions(self) -> dict[str, str]:
        """Return the version of each neighbour that is installed."""
        return {name: version for name, (version, _) in self._installed.items()}

    def require(self, package: str) -> Path:
        """Return the interpreter under which this package is installed. Raises `NotRun`."""
        if package not in self._installed:
            raise NotRun("not installed")
        return self._installed[package][1]

    def ask(self, package: str, name: str, *arguments: object) -> Any:
        """Return what a function of `benchmarks.peers` returns, called in a process of its own. Raises `NotRun`."""
        command = [str(self.require(package)), "-m", "benchmarks.peers", name, *map(str, arguments)]
        try:
            return printed(command)
        except Failed as failure:
            raise NotRun(failure.args[0]) from failure


class Failed(Exception):
    """A process ended otherwise than well; the words are its last."""


@dataclass(frozen=True)
class Run:
    """What a case is given: a folder of its own, how much, how often and how long; the peers, and a PostgreSQL.

    `serve` gives a server of the product, by the name of its folder.
    """

    place: Path
    rounds: int = 3
    seconds: float = 3
    size: Size = FULL
    peers: Peers = field(default_factory=Peers)
    postgresql: str | None = None
    shared: Target | None = None
    """A server for all cases that need none of their own."""

    def serve(self, name: str, **settings: str) -> AbstractContextManager[Target]:
        """Serve the product from a folder of this name, or give the server that all share."""
        if self.shared is not None and not settings:
            return _Given(self.shared)
        return product(self.place / name, **settings)


class _Given(AbstractContextManager[Target]):
    """Somebody else's server, which stays when the case ends."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __enter__(self) -> Target:
        return self._target

    def __exit__(self, *_error: object) -> None:
        return None


def printed(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Any:
    """Run a process and return the JSON of its last line. Raises `Failed`."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        print(f"{command}: {done.stderr}", file=sys.stderr)
        raise Failed((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def asked(environment: Mapping[str, str], module: str, function: str, *arguments: object) -> Any:
    """Return what a function of ours returns that works on the product's database, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.inproduct", module, function, *map(json.dumps, arguments)]
    return printed(command, env=environment)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE_BYTES / _MEGABYTE
