"""Floods: ten thousand connections that say nothing, bodies that would unfold, bytes that are no protocol."""

import contextlib
import gzip
import random
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server, stop_server
from tests.faults.serving import serving, set_up
from tests.faults.writers import Writer

pytestmark = pytest.mark.slow

CONNECTIONS = 10_000
"""As many as the limit of open files leaves: each is one here and one in the server."""
SPARE_FILES = 1_000
ANSWERS_WITHIN_SECONDS = 10
MEMORY = 400 * 1024 * 1024
GARBAGE = 200


def open_files() -> int:
    """Allow this process all that the system does; return how many connections that makes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(CONNECTIONS, hard - SPARE_FILES)


@contextmanager
def silent(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Hold so many connections open of which each has begun a request and goes no further."""
    held: list[socket.socket] = []
    try:
        for number in range(count):
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            if number % 10 == 0:  # most say nothing at all
                held[-1].sendall(b"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        yield held
    finally:
        for one in held:
            one.close()


def memory_of(server: Server) -> int:
    """Return the bytes of memory that the server's process has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_ten_thousand_silent_connections_keep_nobody_out(tmp_path: Path):
    environment, key = set_up(tmp_path)
    with serving(tmp_path, environment) as [server]:
        with silent(server, open_files()) as held, Writer([server], key, count=20) as writer:
            began = time.monotonic()
            writer.wait_until(20)
            health = httpx.get(f"{server.url}/healthz", timeout=30, trust_env=False)
            took = time.monotonic() - began
            assert memory_of(server) < MEMORY
            assert len(held) >= 2_000
            assert (writer.told.refused, writer.told.broken_off) == ([], 0)
        assert health.status_code == 200
        assert took < ANSWERS_WITHIN_SECONDS
        _throw_garbage(server)
        _send_what_unfolds(server, key)
        assert httpx.get(f"{server.url}/healthz", timeout=30, trust_env=False).status_code == 200
        stop_server(server)
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


def test_beyond_the_limit_of_open_files_who_is_in_is_served_and_others_come_in_later(tmp_path: Path):
    environment, key = set_up(tmp_path)
    with serving(tmp_path, environment) as [server]:
        known = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30
        )
        with known:
            assert known.get("/api/v1/sessions").status_code == 200
            before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
            few = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) + 60
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (few, before[1]))
            with silent(server, 40):
                assert known.get("/api/v1/sessions").status_code == 200, "a connection that stands goes on"
            with silent(server, 200):
                pass
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
            deadline = time.monotonic() + ANSWERS_WITHIN_SECONDS
            while _status(server, key) != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        stop_server(server)


def _status(server: Server, key: str) -> int | None:
    headers = {"Authorization": f"Bearer {key}"}
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{server.url}/api/v1/sessions", headers=headers, trust_env=False, timeout=5).status_code
    return None


def _throw_garbage(server: Server) -> None:
    """Send bytes that are no HTTP, or no frames after an upgrade; the server may answer or hang up."""
    chance = random.Random()
    upgrade = (
        b"GET /ws/api/v1/board/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for number in range(GARBAGE):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one, contextlib.suppress(OSError):
            if number % 2:
                one.sendall(upgrade)
            one.sendall(chance.randbytes(chance.randrange(1, 400)))


def _send_what_unfolds(server: Server, key: str) -> None:
    """Send bodies that are small on the wire or flat in length, and large or deep once they are read."""
    bomb = gzip.compress(b" " * 50_000_000)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        kind = {"Content-Type": "application/json"}
        packed = client.post("/api/v1/sessions", content=bomb, headers={**kind, "Content-Encoding": "gzip"}, timeout=30)
        assert packed.status_code == 415
        for deep in (b"[" * 1_000_000, b'{"a":' * 300_000, b"[" * 500_000 + b"]" * 500_000):
            answer = client.post("/api/v1/sessions", content=deep, headers=kind, timeout=30)
            assert answer.status_code in {400, 422}
