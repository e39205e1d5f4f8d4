"""A receiver of webhooks: a real HTTP server on this machine that notes every call and answers as it is told."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`status` is what the next calls are answered with; while `hangs`, they get no answer at all."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    endless: bool = False

    @property
    def told(self) -> list[dict[str, Any]]:
        return [call.told for call in self.calls]

    def wait_for(self, *, calls: int, seconds: float = 60) -> None:
        """Wait until so many calls have come; the lease of a killed server has to run out first."""
        deadline = time.monotonic() + seconds
        while len(self.calls) < calls:
            assert time.monotonic() < deadline, self.told
            time.sleep(0.05)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self):
        receiver = self.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.calls.append(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        if receiver.hangs:
            receiver.released.wait(30)
            self.close_connection = True
        elif receiver.endless:
            self.answer()
            self.pour()
        else:
            self.answer({"Content-Length": "0"})

    def do_GET(self):  # by which a redirect would be followed
        self.receiver.calls.append(Call(self.path, {}, b"{}"))
        self.answer({"Content-Length": "0"})

    def answer(self, headers=None):
        self.send_response(self.receiver.status)
        for name, value in {**self.receiver.headers, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def pour(self):
        self.close_connection = True
        with suppress(OSError):
            while not self.receiver.released.is_set():
                self.wfile.write(b"x" * 65536)

    def log_message(self, *_args):
        pass


@contextmanager
def receiving(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()
    server = ThreadingHTTPServer((host, 0), type("OwnHandler", (Handler,), {"receiver": receiver}))
    server.daemon_threads = True
    receiver.url = f"http://{host}:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
