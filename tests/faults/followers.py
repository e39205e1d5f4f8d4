"""Those who look on while things break: each folds what it is sent, comes back when cut off, and notes repeats."""

import asyncio
import json
import random
import re
import socket as sockets
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.folded import Folded

RETRY_SECONDS = 1.0  # and up to half of it more or less, as pages do: two hundred do not come back at once
_NARROW_BYTES = 8_192
LAGGING = 4408

_MESSAGE = re.compile(r'<article class="message" id="message-(\d+)"(?P<rest>[^>]*)>')
_TOOL = re.compile(r'<details class="tool" id="tool-(\d+)" data-state="([^"]*)"')
_VERDICT = re.compile(r'<p class="verdict" id="verdict" data-state="([^"]*)"')
_CURSOR = re.compile(r'<i id="cursor" hidden data-seq="(\d+)"')
_ROW = re.compile(r'<li class="session" id="session-(\d+)" data-state="([^"]*)" data-band="([^"]*)"')
_SOCKET = re.compile(r'ws-connect="([^"]*)"')


@dataclass(eq=False)
class Follower:
    """A socket that is opened again for as long as the test goes on."""

    url: str
    """The server's address, without the scheme."""
    client: httpx.AsyncClient
    """Speaks to that server as whoever follows."""
    closes: Counter[int] = field(default_factory=Counter)
    repeats: list[Any] = field(default_factory=list)
    is_narrow: bool = False
    may_take: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set the socket stays open and nothing of it is taken."""
    is_let_in: bool = False
    """Whether the server has said something over the present socket."""

    def __post_init__(self) -> None:
        self.may_take.set()

    async def follow(self) -> None:
        while True:
            try:
                await self.prepare()
                await self._follow_once()
            except ConnectionClosed as closed:
                self.closes[closed.rcvd.code if closed.rcvd else 1006] += 1
            except (OSError, WebSocketException, TimeoutError, httpx.TransportError):
                pass
            finally:
                self.is_let_in = False
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))

    async def _follow_once(self) -> None:
        headers = self.client.headers if "Authorization" in self.client.headers else self._cookies()
        async with connect(
            f"ws://{self.url}{self.path()}",
            additional_headers={name: headers[name] for name in headers if name in {"Cookie", "authorization"}},
            origin=None if "Authorization" in self.client.headers else f"http://{self.url}",  # type: ignore[arg-type]
            sock=await self._line(), open_timeout=20, close_timeout=1, ping_interval=None, max_queue=1,
        ) as socket:  # fmt: skip
            while True:
                text = await socket.recv()
                assert isinstance(text, str)
                self.is_let_in = True
                await self.take(text, socket)

    async def _line(self) -> sockets.socket:
        """Return a connection; where little fits in, who stalls is noticed the sooner."""
        line = sockets.socket()
        if self.is_narrow:
            line.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _NARROW_BYTES)
        line.setblocking(False)
        host, port = self.url.split(":")
        try:
            await asyncio.get_running_loop().sock_connect(line, (host, int(port)))
        except BaseException:
            line.close()
            raise
        return line

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())}

    async def prepare(self) -> None:
        """Do what comes before the socket is opened."""

    def path(self) -> str:
        """Return where the socket is, from where this one stands."""
        raise NotImplementedError

    async def take(self, text: str, socket: ClientConnection) -> None:
        """Take one frame in."""
        raise NotImplementedError

    async def page(self, path: str) -> str:
        """Return a page; a server that is just away or busy counts as cut off."""
        answer = await self.client.get(path)
        if answer.status_code >= 500:
            raise TimeoutError
        answer.raise_for_status()
        return answer.text


@dataclass(eq=False)
class Program(Follower):
    """Follows one session's events."""

    session: str = ""
    folded: Folded = field(default_factory=Folded)
    messages: list[int] = field(default_factory=list)
    seen: int = 0
    _parts: list[dict[str, Any]] = field(default_factory=list)

    async def prepare(self) -> None:
        self._parts.clear()  # An event that had not wholly come comes again.

    def path(self) -> str:
        return f"/ws/api/v1/sessions/{self.session}/?after={self.seen}"

    async def take(self, text: str, socket: ClientConnection) -> None:  # noqa: ARG002 - programs acknowledge nothing
        await self.may_take.wait()
        frame = json.loads(text)
        if "seq" not in frame:
            return
        if frame["seq"] <= self.seen or frame.get("part", 0) != len(self._parts):
            self.repeats.append(frame)
        if "piece" in frame:
            frame = self._joined(frame)
            if frame is None:
                return
        self._parts.append(frame)
        if len(self._parts) < frame.get("parts", 1):
            return
        assert frame["seq"] == self.seen + 1, f"{frame['seq']} came after {self.seen}"
        self._parts.clear()
        self.seen = frame["seq"]
        self.folded.take(SimpleNamespace(type=frame["type"], turn_id=frame["turn_id"], payload=frame))
        if frame["type"] == "server.messages_added":
            self.messages += frame["message_ids"]

    _pieces: list[str] = field(default_factory=list)

    def _joined(self, piece: dict[str, Any]) -> dict[str, Any] | None:
        """Return the event of which this is the last piece, or None while more are to come."""
        if piece["piece"] == 0:
            self._pieces.clear()
        self._pieces.append(piece["json"])
        return json.loads("".join(self._pieces)) if len(self._pieces) == piece["pieces"] else None


@dataclass(eq=False)
class Page(Follower):
    """A session's page: what it has appended, and how its tools and its verdict look."""

    session: str = ""
    messages: list[int] = field(default_factory=list)
    loaded: frozenset[int] = frozenset()
    """Messages that the page had when it was opened."""
    tools: dict[str, str] = field(default_factory=dict)
    verdict: str = ""
    cursor: int = -1

    async def prepare(self) -> None:
        if self.cursor < 0:
            self.see(await self.page(f"/sessions/{self.session}/"))
            self.loaded = frozenset(self.messages)

    def path(self) -> str:
        return f"/ws/sessions/{self.session}/?after={self.cursor}"

    def see(self, html: str) -> None:
        """Take in a page or a batch of fragments."""
        for found in _MESSAGE.finditer(html):
            pk, is_again = int(found[1]), "hx-swap-oob" in found["rest"]
            if pk in self.loaded and not is_again:
                continue  # It came between the page's log and its rows; a page does not take in what it has.
            if is_again != (pk in self.messages):
                self.repeats.append(found[0])
            if not is_again:
                self.messages.append(pk)
        self.tools |= dict(_TOOL.findall(html))
        self.verdict = next(iter(_VERDICT.findall(html)), self.verdict)
        for seq in map(int, _CURSOR.findall(html)):
            if seq < self.cursor:
                self.repeats.append(seq)
            self.cursor = seq

    async def take(self, text: str, socket: ClientConnection) -> None:
        if not text.startswith("<"):
            return
        self.see(text)
        if not self.may_take.is_set():
            return  # A page that hangs: it has what came, and says nothing.
        await socket.send(json.dumps({"ack": self.cursor}))


@dataclass(eq=False)
class Board(Follower):
    """All sessions, by pulses; what was missed while it was away it asks the list for."""

    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    WORDS: ClassVar = ("last_seq", "state", "turn_id", "liveness", "needs", "message_count")

    def path(self) -> str:
        return "/ws/api/v1/board/"

    async def take(self, text: str, socket: ClientConnection) -> None:  # noqa: ARG002 - programs acknowledge nothing
        frame = json.loads(text)
        if frame["type"] == "hello":
            for row in json.loads(await self.page("/api/v1/sessions?limit=500"))["items"]:
                self.put(row["id"], row)
        elif frame["type"] == "pulse":
            self.put(frame["session"], frame)

    def put(self, session: str, row: dict[str, Any]) -> None:
        """Show a session as this row has it."""
        self.shown[session] = {word: row[word] for word in self.WORDS if word in row}


@dataclass(eq=False)
class Wall(Follower):
    """The wall's page; it asks for what has changed since it was rendered."""

    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    address: str = ""

    async def prepare(self) -> None:
        html = await self.page("/")
        self.address = _SOCKET.findall(html)[0].replace("&amp;", "&")
        self.rows = rows_of(html)

    def path(self) -> str:
        return self.address

    async def take(self, text: str, socket: ClientConnection) -> None:
        if not text.startswith("<"):
            return
        self.rows |= rows_of(text)
        number = _CURSOR.findall(text)[-1]
        if self.may_take.is_set():
            await socket.send(json.dumps({"ack": int(number)}))


def rows_of(html: str) -> dict[str, tuple[str, str]]:
    """Return look and band of each session's row."""
    return {pk: (state, band) for pk, state, band in _ROW.findall(html)}
