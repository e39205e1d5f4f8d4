"""Floods: ten thousand silent connections, as many sockets, bodies that would unfold, bytes that are no protocol."""

import contextlib
import gzip
import json
import random
import re
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sessions.live.consumers.pages import SOCKETS_A_PERSON
from sessions.live.consumers.programs import SOCKETS_A_USER
from tests.conftest import OWNER, PASSWORD, Server, stop_server
from tests.faults.crowd import Group, crowd
from tests.faults.serving import serving, set_up
from tests.faults.writers import Writer

pytestmark = pytest.mark.slow

CONNECTIONS = 10_000
"""As many as the limit of open files leaves: each is one here and one in the server."""
SPARE_FILES = 1_000
ANSWERS_WITHIN_SECONDS = 10
MEMORY = 400 * 1024 * 1024
GARBAGE = 200
FEW_LINES = 10
PATIENCE_SECONDS = 30
"""For a page of the API that has to come through between thousands of handshakes and what is sent to two thousand."""
PAUSE_SECONDS = 10


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


def test_ten_thousand_sockets_are_served_up_to_the_limit_and_told_so_beyond_it(tmp_path: Path):
    environment, key = set_up(tmp_path)
    with serving(tmp_path, environment) as [server]:
        with Writer([server], key, count=1) as writer, crowd() as people, ThreadPoolExecutor(1) as thread:
            half = open_files() // 2
            key_shown, signed_in = {"Authorization": f"Bearer {key}"}, _signed_in(server)
            log, wall = f"/ws/api/v1/sessions/{writer.session}/?after=1000", "/ws/board/"
            groups = [Group(half, log, key_shown), Group(half, wall, signed_in, is_polite=False)]
            coming = thread.submit(people.come, server.port, groups)
            answers = []
            while not coming.done():
                began = time.monotonic()
                assert _status(server, key, seconds=PATIENCE_SECONDS) == 200
                answers.append(time.monotonic() - began)
                writer.append(f"meanwhile-{len(answers)}")
                wait([coming], PAUSE_SECONDS)
            programs, pages = coming.result()
            assert memory_of(server) < MEMORY
            assert (programs.let_in, pages.let_in) == (SOCKETS_A_USER, SOCKETS_A_PERSON)
            assert programs.closed == {"4429": half - SOCKETS_A_USER}
            assert pages.closed == {"4429": half - SOCKETS_A_PERSON}
            assert programs.misled == pages.misled == 0, "nobody is greeted and then turned away"
            assert max(programs.longest, pages.longest) < ANSWERS_WITHIN_SECONDS
            assert answers
            writer.append("afterwards")
            session = writer.client.get(f"{server.url}/api/v1/sessions/{writer.session}").json()
            assert people.having(session["last_seq"]) == SOCKETS_A_USER
        _wait_for_room(server, log, key_shown)
        _wait_for_room(server, wall, signed_in)
        stop_server(server)
    told = server.log.read_text(encoding="utf-8")
    assert "Traceback" not in told
    assert len(re.findall("warning|error|critical", told)) <= FEW_LINES


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


def _status(server: Server, key: str, *, seconds: float = 5) -> int | None:
    headers = {"Authorization": f"Bearer {key}"}
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{server.url}/api/v1/sessions", headers=headers, trust_env=False, timeout=seconds).status_code
    return None


def _signed_in(server: Server) -> dict[str, str]:
    """Return the headers of the handshakes of a browser in which the owner has signed in."""
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as browser:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]*)"', browser.get("/sign-in/").text)[1]
        form = {"username": OWNER, "password": PASSWORD, "csrfmiddlewaretoken": token}
        assert browser.post("/sign-in/", data=form).status_code == 302
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return {"Cookie": cookies, "Origin": server.url}


def _wait_for_room(server: Server, path: str, headers: dict[str, str]) -> None:
    """Open a socket, once those that have gone have left their places."""
    deadline = time.monotonic() + ANSWERS_WITHIN_SECONDS
    while True:
        with (
            contextlib.suppress(ConnectionClosed),
            connect(f"{server.url.replace('http', 'ws')}{path}", additional_headers=headers, proxy=None) as socket,
        ):
            assert json.loads(socket.recv(30))["type"] == "hello"
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
