"""The ground of a run: folders, servers and data that are gone when it ends."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.load import Load
from tests.conftest import ROOT, Server, find_free_port, launch, manage, prepare, stop_server

_START = """
from django.contrib.auth.models import User
from sessions.models import Session
print(Session.objects.start(owner=User.objects.get(username="owner"), source="bench", agent_name="bench").session.uuid)
"""
_INDEX = """
from django.db import connection
connection.cursor().execute("CREATE VIRTUAL TABLE stock_index USING fts5(content)")
"""


@dataclass(frozen=True)
class Target:
    """A server that takes messages: where, with which key, into which sessions."""

    port: int
    key: str
    sessions: list[str]
    process: "subprocess.Popen[bytes]"

    def load(self, *, batch: int = 1, seconds: float = 5, connections: int = 16) -> Load:
        """Post messages from a process of its own."""
        paths = [f"/api/v1/sessions/{session}/messages" for session in self.sessions]
        return run_load(self.port, self.key, paths, batch=batch, seconds=seconds, connections=connections)


def run_load(port: int, key: str, paths: list[str], **options: float | str) -> Load:
    """Run one load in a process of its own and return what it did."""
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    places = [part for path in paths for part in ("--path", path)]
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(port), "--key", key, *places, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on the disk on which the product's data would lie."""
    with tempfile.TemporaryDirectory(prefix="koda-bench-", dir=os.environ.get("KODA_BENCH_DIR")) as place:
        yield Path(place)


@contextmanager
def product(place: Path) -> Iterator[tuple[Server, Target]]:
    """Serve the product as it is served by default."""
    server = launch(place, prepare(place), port=find_free_port())
    try:
        key = server.create_key("bench")
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as agent:
            made = [agent.post("/api/v1/sessions", json={"agent_name": "bench"}).json()["id"] for _ in range(16)]
        yield server, Target(server.port, key, made, server.process)
    finally:
        stop_server(server)


@contextmanager
def stock(place: Path) -> Iterator[Target]:
    """Serve the stock path (see `benchmarks.stock`) with plain Daphne, on a database of its own."""
    environment = prepare(place)
    arguments = ("--user", "owner", "--scope", "write", "--scope", "read", "--plain")
    key = manage(environment, "createapikey", "bench", *arguments).strip()
    manage(environment, "shell", "--no-imports", "--command", _INDEX)
    sessions = [manage(environment, "shell", "--no-imports", "--command", _START).strip() for _ in range(4)]
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "daphne", "-p", str(port), "benchmarks.stock:application"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with ExitStack() as end:
        end.callback(process.wait)
        end.callback(process.kill)
        transport = httpx.HTTPTransport(retries=8)  # with growing pauses, until it listens
        with httpx.Client(transport=transport, trust_env=False) as client:
            client.get(f"http://127.0.0.1:{port}/")
        yield Target(port, key, sessions, process)
