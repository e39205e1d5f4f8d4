"""Starts servers as processes of their own, and speaks to them through plain sockets."""

import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.conftest import ROOT

PATIENCE = 20  # seconds; for machines that do much else
_connections: list[socket.socket] = []


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Process:
    """A running server and what it has printed so far."""

    popen: subprocess.Popen[str]
    port: int = 0
    lines: list[str] = field(default_factory=list)
    _fresh: queue.Queue[str] = field(default_factory=queue.Queue)

    def read(self) -> None:
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            self._fresh.put(line)

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Return the line in which text was printed for the nth time, when it is."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [line for line in self.lines if text in line]
            if len(found) >= times:
                return found[times - 1]
            try:
                self._fresh.get(timeout=max(0.01, min(0.5, deadline - time.monotonic())))
            except queue.Empty:
                assert time.monotonic() < deadline, f"no {text!r} in {self.lines}"

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


@contextmanager
def run(*command: str, environment: dict[str, str] | None = None) -> Iterator[Process]:
    """Start a process; whatever becomes of the test, it does not survive."""
    popen = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    process = Process(popen)
    process._reader = threading.Thread(target=process.read, daemon=True)
    process._reader.start()
    try:
        yield process
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.wait()
        process._reader.join(PATIENCE)
        popen.stdout.close()
        while _connections:
            _connections.pop().close()


@contextmanager
def tiny(**options) -> Iterator[Process]:
    """Run tests/live/tiny.py."""
    with run(sys.executable, "-m", "tests.live.tiny", json.dumps(options)) as process:
        process.port = int(process.wait_for("PORT ").split()[1])
        process.wait_for("BACKGROUND STARTED")
        yield process


def connect(port: int) -> socket.socket:
    """Return a connection that is closed when the server ends, if not before."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    _connections.append(connection)
    return connection


def head(method: str, path: str, **headers: str) -> bytes:
    """Return the head of a request; an underscore in a header's name becomes a hyphen."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def send(port: int, path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> socket.socket:
    """Send a whole request and return the socket at which its answer will arrive."""
    connection = connect(port)
    if body:
        headers["Content-Length"] = str(len(body))
    connection.sendall(head(method, path, **headers) + body)
    return connection


def read(connection: socket.socket) -> Answer:
    """Read one answer that has a Content-Length."""
    with connection.makefile("rb") as stream:
        first = stream.readline()
        assert first, "the connection was closed without an answer"
        headers = {}
        while (line := stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode("latin1").partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers["content-length"]))
    assert len(body) == int(headers["content-length"]), "the answer was cut"
    return Answer(int(first.split()[1]), headers, body)


def get(port: int, path: str, **options) -> Answer:
    with send(port, path, **options) as connection:
        return read(connection)
