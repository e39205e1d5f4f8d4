"""The ground of a run: folders, servers and data that are gone when it ends."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from benchmarks.lines import NotRun
from benchmarks.load import Load
from tests.conftest import OWNER, PASSWORD, ROOT, find_free_port, launch, manage, prepare, stop_server

_CONNECTIONS = 16
_PATIENCE_SECONDS = 60
_START = """
import json
from django.contrib.auth.models import User
from django.db import connection
from sessions.models import ApiKey, Session
connection.cursor().execute("CREATE VIRTUAL TABLE stock_index USING fts5(content)")
owner = User.objects.get(username="owner")
key = ApiKey.objects.issue(user=owner, name="bench", scopes=("write", "read")).plain
made = [Session.objects.start(owner=owner, source="bench", agent_name="bench").session for _ in range(16)]
print(json.dumps([key, [str(session.uuid) for session in made]]))
"""


@dataclass(frozen=True)
class Target:
    """A server that takes messages: where, with which key, into which sessions."""

    port: int
    key: str
    sessions: list[str]
    pid: int
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"http://127.0.0.1:{self.port}"

    def load(self, *, sessions: Sequence[str] = (), **options: float) -> Load:
        """Post messages from a process of its own, to these of its sessions or to all."""
        paths = [f"/api/v1/sessions/{session}/messages" for session in sessions or self.sessions]
        return run_load(self.port, paths, key=self.key, **options)

    @contextmanager
    def agent(self) -> Iterator[httpx.Client]:
        """Give a client with the key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False) as client:
            yield client

    @contextmanager
    def person(self) -> Iterator[httpx.Client]:
        """Give the owner's browser, signed in."""
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            form = client.get("/sign-in/").raise_for_status().text
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
            assert token is not None, form
            given = {"username": OWNER, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
            answer = client.post("/sign-in/", data=given)
            assert answer.status_code == 302, answer.text
            yield client


def run_load(port: int, paths: Sequence[str], *, sessions: Sequence[str] = (), **options: float | str) -> Load:
    """Run one load in a process of its own and return what it did."""
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    places = [part for path in paths for part in ("--path", path)]
    named = [part for session in sessions for part in ("--session", session)]
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(port), *places, *named, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on the disk on which the product's data would lie."""
    with tempfile.TemporaryDirectory(prefix="koda-bench-", dir=os.environ.get("KODA_BENCH_DIR")) as place:
        yield Path(place)


@contextmanager
def product(place: Path, **settings: str) -> Iterator[Target]:
    """Serve the product as it is served by default, with these settings besides."""
    server = launch(place, prepare(place, **settings), port=find_free_port())
    try:
        target = Target(server.port, server.create_key("bench"), [], server.process.pid, server.environment)
        with target.agent() as agent:
            for _ in range(_CONNECTIONS):
                made = agent.post("/api/v1/sessions", json={"agent_name": "bench"}).raise_for_status()
                target.sessions.append(made.json()["id"])
        yield target
    finally:
        stop_server(server)


@contextmanager
def stock(place: Path) -> Iterator[Target]:
    """Serve the stock path (see `benchmarks.stock`) with plain Daphne, on a database of its own."""
    environment = prepare(place)
    told = manage(environment, "shell", "--no-imports", "--command", _START)
    key, sessions = json.loads(told.strip().splitlines()[-1])
    with daphne("benchmarks.stock:application", environment) as (port, pid):
        yield Target(port, key, sessions, pid, environment)


@contextmanager
def daphne(application: str, environment: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """Serve an application with plain Daphne; give its port and process."""
    port = find_free_port()
    with process([sys.executable, "-m", "daphne", "-p", str(port), application], environment) as server:
        wait_for(f"http://127.0.0.1:{port}/", server)
        yield port, server.pid


@contextmanager
def process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server of somebody else's; it is killed at the end."""
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    with ExitStack() as end:
        end.callback(server.wait)
        end.callback(server.kill)
        yield server


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers, whatever it says. Raises `NotRun` when it has ended or takes too long."""
    until = time.monotonic() + _PATIENCE_SECONDS
    with httpx.Client(trust_env=False, timeout=_PATIENCE_SECONDS) as client:
        while server.poll() is None and time.monotonic() < until:
            try:
                client.get(url)
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
    raise NotRun("its server did not start")


@contextmanager
def database(url: str) -> Iterator[str]:
    """Make a database on the server of `url`, give its address, and drop it."""
    name = f"koda_bench_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
