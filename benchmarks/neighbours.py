"""The servers of the neighbours, run beside ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.ground import process, run_load, wait_for
from benchmarks.lines import NotRun
from benchmarks.load import Load
from benchmarks.run import Peers
from tests.conftest import find_free_port

_AGENT = """
from google.adk.agents import BaseAgent


class Silent(BaseAgent):
    async def _run_async_impl(self, ctx):
        return
        yield


root_agent = Silent(name="bench")
"""
_SERVICES = {"sqlite": "sqlite:///{}", "database": "sqlite+aiosqlite:///{}"}
"""How google-adk is told which of its services keeps the sessions."""


@dataclass(frozen=True)
class Adk:
    """google-adk's api server with an agent that says nothing: a turn stores one message. `reason`: it is not run."""

    port: int = 0
    sessions: tuple[str, ...] = ()
    reason: str = ""

    def load(self, *, batch: int = 1, sessions: tuple[str, ...] = (), **options: float) -> Load:
        """Post turns; or, since it takes several messages at once only then, new sessions that hold `batch` each."""
        if self.reason:
            raise NotRun(self.reason)
        if batch == 1:
            given = {"batch": 1, "shape": "adk-turn", "key": "none", **options}
            return run_load(self.port, ["/run"], sessions=sessions or self.sessions, **given)
        given = {"batch": batch, "shape": "adk-events", "key": "none", **options}
        return run_load(self.port, ["/apps/bench/users/u/sessions"], **given)


def adk_command(peers: Peers, place: Path, port: int, service: str) -> list[str]:
    """Return the command of its server, with a folder of agents made ready. Raises `NotRun`."""
    python = peers.require("google-adk")
    agents = place / "agents"
    (agents / "bench").mkdir(parents=True, exist_ok=True)
    (agents / "bench" / "__init__.py").write_text("from . import agent\n")
    (agents / "bench" / "agent.py").write_text(_AGENT)
    address = _SERVICES[service].format(place / f"adk-{service}-{port}.sqlite3")
    options = ["--session_service_uri", address, "--port", str(port), "--no-reload", "--log_level", "error"]
    return [str(python), "-m", "google.adk.cli", "api_server", *options, str(agents)]


@contextmanager
def adk(peers: Peers, place: Path, service: str = "sqlite") -> Iterator[Adk]:
    """Serve google-adk with sixteen sessions; what is given says so when it cannot be served."""
    port = find_free_port()
    try:
        command = adk_command(peers, place, port, service)
    except NotRun as reason:
        yield Adk(reason=reason.args[0])
        return
    with process(command, dict(os.environ)) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/list-apps", server)
        except NotRun as reason:
            yield Adk(reason=reason.args[0])
            return
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            made = [client.post("/apps/bench/users/u/sessions", json={}).raise_for_status().json() for _ in range(16)]
        yield Adk(port, tuple(session["id"] for session in made))


def phoenix_command(peers: Peers) -> list[str]:
    """Return the command of arize-phoenix's server. Raises `NotRun`."""
    return [str(peers.require("arize-phoenix")), "-m", "phoenix.server.main", "serve"]


def phoenix_environment(place: Path, port: int) -> dict[str, str]:
    """Return the settings of arize-phoenix's server."""
    folder = place / f"phoenix-{port}"
    folder.mkdir()
    settings = {"PHOENIX_WORKING_DIR": str(folder), "PHOENIX_PORT": str(port), "PHOENIX_HOST": "127.0.0.1"}
    return {**os.environ, **settings, "PHOENIX_GRPC_PORT": str(find_free_port()), "PHOENIX_TELEMETRY_ENABLED": "false"}
