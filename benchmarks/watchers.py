"""Sockets that watch one session while events are posted to it: `python -m benchmarks.watchers`.

Opens them, says so, and then does what it reads, one line each: `pace RATE COUNT` posts events at a steady rate,
`burst COUNT` one behind the other; each answers with a line of JSON. Each event says when it was sent; each socket
notes when it came, on the clock of the same machine. The client reads frames by hand: a library that does more would
be the slowest part of what is measured.
"""

import argparse
import asyncio
import json
import re
import resource
import sys
import time

from benchmarks.lines import quantile
from benchmarks.load import read_answer

_OPENING = 50
"""Handshakes at once."""
_PATIENCE_SECONDS = 20
_QUIET_SECONDS = 4
"""After so long without anything the rest counts as lost."""
_SENT = re.compile(rb"sent=(\d+\.\d+);")
_TEXT, _PING, _PONG = 1, 9, 10


class Arrivals:
    """What came to all sockets: how many events, when the last one, how long each was on its way."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.last_at = 0.0
        self.closed = 0

    def note(self, frame: bytes) -> None:
        """Note the events of a frame."""
        now = time.time()
        found = _SENT.findall(frame)
        self.taken += [now - float(sent) for sent in found]
        self.last_at = now if found else self.last_at


class Socket(asyncio.Protocol):
    """One socket after its handshake: reads the server's frames, answers pings, and says nothing else."""

    def __init__(self, request: bytes, arrivals: Arrivals) -> None:
        self._request = request
        self._arrivals = arrivals
        self._buffer = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def connection_lost(self, _error: Exception | None) -> None:
        """Count it."""
        self._arrivals.closed += 1
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before it was open"))

    def data_received(self, data: bytes) -> None:
        """Take the handshake's end, then frames, as far as they are whole."""
        self._buffer += data
        if not self.opened.done():
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(head.decode(errors="replace")))
                return
            self._buffer = rest
            self.opened.set_result(None)
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Cut the first whole frame off the buffer and return its kind and its content; servers do not mask."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 15, buffer[start : start + size]

    def _take(self, kind: int, content: bytes) -> None:
        if kind == _PING:
            mask = bytes(4)  # of zeros: the content stays as it is
            self._transport.write(bytes([128 | _PONG, 128 | len(content)]) + mask + content)  # type: ignore[attr-defined]
        elif kind == _TEXT:
            self._arrivals.note(content)


class Audience:
    """All sockets, and the connection over which events are posted."""

    def __init__(self, port: int, path: str, post: str, key: str, sockets: int) -> None:
        self._port, self._path, self._post, self._key, self._sockets = port, path, post, key, sockets
        self.arrivals = Arrivals()

    async def open(self) -> None:
        """Open the sockets, some at once."""
        gate = asyncio.Semaphore(_OPENING)
        head = self._head("GET", self._path)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        request = f"{head}{upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()

        async def one() -> None:
            async with gate:
                loop = asyncio.get_running_loop()
                _, socket = await loop.create_connection(
                    lambda: Socket(request, self.arrivals), "127.0.0.1", self._port
                )
                await socket.opened

        await asyncio.gather(*(one() for _ in range(self._sockets)))
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    def _head(self, method: str, path: str) -> str:
        return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Bearer {self._key}\r\n"

    async def _send(self) -> None:
        """Post one event."""
        body = json.dumps({"events": [{"type": "info", "message": f"sent={time.time():.6f};"}]})
        head = f"{self._head('POST', self._post)}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write((head + body).encode())
        status, answer = await read_answer(self._reader)
        assert status < 300, answer

    async def post(self, count: int, *, rate: float | None = None) -> dict[str, float]:
        """Post events, wait until they have come or nothing comes any more, and return how that went."""
        self.arrivals.taken, began = [], time.time()
        expected = count * self._sockets
        for number in range(count):
            if rate is not None:
                await asyncio.sleep(max(0, began + number / rate - time.time()))
            await self._send()
        sent_at = time.time()
        while len(self.arrivals.taken) < expected and time.time() < sent_at + _PATIENCE_SECONDS:
            if time.time() > max(self.arrivals.last_at, sent_at) + _QUIET_SECONDS:
                break
            await asyncio.sleep(0.01)
        taken = self.arrivals.taken
        return {
            "delivered": len(taken), "lost": expected - len(taken), "closed": self.arrivals.closed,
            "a_second": len(taken) / max(self.arrivals.last_at - began, 1e-6),
            "p50_ms": quantile(taken, 0.5) * 1000, "p99_ms": quantile(taken, 0.99) * 1000,
        }  # fmt: skip


async def run(audience: Audience) -> None:
    """Open, and do what is read until there is no more."""
    await audience.open()
    print("open", flush=True)
    loop = asyncio.get_running_loop()
    while words := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        if words[0] == "pace":
            told = await audience.post(int(words[2]), rate=float(words[1]))
        else:
            told = await audience.post(int(words[1]))
        print(json.dumps(told), flush=True)


def main() -> None:
    """Watch, as long as there is something to do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--post", required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--sockets", type=int, default=1000)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(run(Audience(**vars(options))))


if __name__ == "__main__":
    main()
