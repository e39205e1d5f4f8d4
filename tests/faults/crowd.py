"""A crowd of sockets, in a process of its own: `python -m tests.faults.crowd`.

It reads what to open from its first line, opens all of that, and says what became of it. Who was let in stays, takes
what comes and answers nothing but pings. Then, for each line with the number of an event, it says how many of the first
group have that event, as soon as all have it. It goes when its input ends.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.watchers import Arrivals, Socket
from tests.conftest import ROOT

AT_ONCE = 250
"""Handshakes; a quarter of what the kernel holds for a server."""
PATIENCE_SECONDS = 30
_CLOSE = 8
_SEQ = re.compile(rb'"seq":(\d+)')
_UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass(frozen=True)
class Group:
    """Sockets that differ in nothing."""

    count: int
    path: str
    headers: dict[str, str]
    is_polite: bool = True
    """Whether they answer a close, or leave it to the server to hang up."""


@dataclass(frozen=True)
class Outcome:
    """What became of a group."""

    let_in: int
    closed: dict[str, int]
    """How many were closed with each code; "0": cut off without one."""
    misled: int
    """How many were told hello, and then closed."""
    longest: float
    """Seconds from the connection to hello or the close code."""


class Member(Socket):
    """One socket of the crowd."""

    def __init__(self, request: bytes, *, is_polite: bool) -> None:
        super().__init__(request, Arrivals())
        self._is_polite = is_polite
        self.code: int | None = None
        self.has_hello = False
        self.newest = 0
        self.began = time.monotonic()
        self.took = float(PATIENCE_SECONDS)
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.opened.exception()  # is seen in the code
        self._settle(0)

    def _take(self, kind: int, content: bytes) -> None:
        super()._take(kind, content)
        if kind == _CLOSE:
            self._settle(int.from_bytes(content[:2], "big"))
            if self._is_polite:
                self._transport.write(bytes([128 | _CLOSE, 128 | 2, 0, 0, 0, 0]) + content[:2])
        elif content.startswith(b'{"type":"hello"'):
            self.has_hello = True
            self._settle(None)
        elif found := _SEQ.search(content):
            self.newest = int(found[1])

    def _settle(self, code: int | None) -> None:
        self.code = code if self.code is None else self.code
        if not self.settled.done():
            self.took = time.monotonic() - self.began
            self.settled.set_result(None)


class Crowd:
    """The process, as the test sees it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def come(self, port: int, groups: list[Group]) -> list[Outcome]:
        """Open all sockets and return what became of each group."""
        told = self._ask(json.dumps([port, [vars(group) for group in groups]]))
        return [Outcome(**outcome) for outcome in json.loads(told)]

    def having(self, seq: int) -> int:
        """Return how many of the first group have this event, once all who are in have it or patience is up."""
        return int(self._ask(str(seq)))

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


@contextmanager
def crowd() -> Iterator[Crowd]:
    """Yield a crowd that has not come yet; at the end it goes, all at once."""
    command = [sys.executable, "-m", "tests.faults.crowd"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


async def _open(port: int, group: Group, gate: asyncio.Semaphore) -> list[Member]:
    lines = [f"GET {group.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in group.headers.items()]
    request = ("\r\n".join(lines) + f"\r\n{_UPGRADE}").encode()

    async def one() -> Member:
        async with gate:
            loop = asyncio.get_running_loop()
            _, member = await loop.create_connection(
                lambda: Member(request, is_polite=group.is_polite), "127.0.0.1", port
            )
            await asyncio.wait([member.settled], timeout=PATIENCE_SECONDS)
            return member

    return await asyncio.gather(*(one() for _ in range(group.count)))


def _outcome(members: list[Member]) -> Outcome:
    codes = Counter(str(one.code) for one in members if one.code is not None)
    return Outcome(
        let_in=sum(one.has_hello and one.code is None for one in members),
        closed=dict(codes),
        misled=sum(one.has_hello and one.code is not None for one in members),
        longest=max((one.took for one in members), default=0.0),
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _run() -> None:
    loop = asyncio.get_running_loop()

    async def heard() -> Any:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        return json.loads(line) if line else None

    port, groups = await heard()
    gate = asyncio.Semaphore(AT_ONCE)
    opened = await asyncio.gather(*(_open(port, Group(**group), gate) for group in groups))
    _say(json.dumps([vars(_outcome(members)) for members in opened]))
    watching = [one for one in opened[0] if one.code is None]
    while (seq := await heard()) is not None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(one.newest < seq for one in watching) and time.monotonic() < deadline:  # noqa: ASYNC110 - of many
            await asyncio.sleep(0.02)
        _say(str(sum(one.newest >= seq and one.code is None for one in watching)))


if __name__ == "__main__":
    asyncio.run(_run())
