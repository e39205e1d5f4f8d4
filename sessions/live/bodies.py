"""Requests whose bodies have an end: Daphne's request with a limit that holds before anything is read.

Daphne reads a whole body before the application starts, and so before anybody is authenticated; a large
one into a file. Here a body may have `server.max_body` bytes, and all bodies that are held at the same
time `server.max_held` together.
"""

import asyncio
from collections.abc import Mapping
from http.client import responses
from typing import Any
from weakref import WeakSet

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet.interfaces import IAddress
from twisted.web.http import _GenericHTTPChannelProtocol

from sessions.live.admission import LARGEST_SHORT_BODY
from sessions.live.pace import Channel
from sessions.live.refusals import BROKEN, BUSY, Refusal, malformed, render, too_large

IN_MEMORY = range(100_000, LARGEST_SHORT_BODY + 1)
"""Bytes of bodies that Twisted would put into a file, and that are kept in memory."""
MOST_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of such bodies at once, by what they announced; those that come then lie in files after all."""
LINGER_SECONDS = 30
"""How long the rest of a refused body is read and thrown away, so that its sender gets to see the answer."""


class Request(WebRequest):
    """One HTTP request, from its first line to its answer."""

    is_refused = False
    received_count = 0
    """Bytes of the body that came."""
    _held = 0
    _in_memory = 0
    _farewell: asyncio.TimerHandle

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Django parses forms; Twisted would read the whole body into memory to do it a second time.
        self._parsePOSTFormSubmission = False

    # --- The body comes in ---------------------------------------------------------------------------------

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Refuse at once what announces too much; otherwise prepare to receive `length` bytes."""
        if length is None or length <= self.server.max_body:
            if length is not None and length in IN_MEMORY and self.server.in_memory + length <= MOST_IN_MEMORY:
                self._in_memory = length
                self.server.in_memory += length
            super().gotLength(0 if self._in_memory else length)
            return
        super().gotLength(0)
        self._refuse(too_large(self.server.max_body))

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Keep a piece of the body, unless the body or all bodies together pass their limit."""
        self.received_count += len(data)
        if self.is_refused:
            return
        if self.received_count > self.server.max_body:
            self._refuse(too_large(self.server.max_body))
        elif self.server.held + len(data) > self.server.max_held:
            self._refuse(BUSY)
        else:
            self._held += len(data)
            self.server.held += len(data)
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Hand the complete request to the application; a refused one ends here."""
        if self.is_refused:
            self._hang_up()
            return
        if self.requestHeaders.hasHeader(b"Upgrade"):
            self._let_go()  # a socket has no end at which this could happen
        # Daphne would believe anybody who says below which path we are mounted.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        super().requestReceived(command, path, version)

    def _refuse(self, refusal: Refusal) -> None:
        self.is_refused = True
        self._let_go()
        self.content.seek(0)
        self.content.truncate()
        # These become known to the request only when its body is complete.
        self.method, self.uri = self.channel._command, self.channel._path  # noqa: SLF001
        self.clientproto = self.channel._version  # noqa: SLF001
        self.path = self.uri.partition(b"?")[0]
        # Else Twisted would now invite the client to send the body.
        self.requestHeaders.removeHeader(b"expect")
        self._answer(refusal, is_complete=False)
        self._farewell = asyncio.get_event_loop().call_later(LINGER_SECONDS, self._hang_up)
        self.server.log_action("http", "complete", self._log_details(refusal.status))

    def _hang_up(self) -> None:
        self._farewell.cancel()
        if not self.finished and self.channel is not None:
            self.finish()

    def _let_go(self) -> None:
        self.server.held -= self._held
        self.server.in_memory -= self._in_memory
        self._held = self._in_memory = 0

    def finish(self) -> None:
        """End the answer; what was held of the body is given free."""
        self._let_go()
        super().finish()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Note that the client went away before it had its answer."""
        self._let_go()
        if self.is_refused:
            self._farewell.cancel()
        super().connectionLost(reason)

    # --- The answer goes out -------------------------------------------------------------------------------

    def handle_reply(self, message: Mapping[str, Any]) -> None:
        """Write a piece of the answer; once the server drains, the connection ends with it."""
        is_start = message["type"] == "http.response.start"
        if is_start and self.server.draining.is_set() and self.channel is not None:
            self.part()
        super().handle_reply(message)

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:  # noqa: N802
        """Note the status, in the words of HTTP: those that Twisted knows are older than 422 and 429."""
        super().setResponseCode(code, message or responses.get(code, "").encode() or None)

    def part(self) -> None:
        """Make this the last answer of its connection."""
        self.channel.persistent = False
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:  # noqa: ARG002
        """Answer what Daphne itself finds wrong, in the form of the door; never as HTML."""
        if self.finished or self.channel is None:
            return
        if self._response_started:
            self.channel.forceAbortClient()  # half an answer must not look like a whole one
            return
        known = {400: malformed(body), 503: BUSY}
        self._answer(known.get(status, BROKEN), is_complete=True)

    def _answer(self, refusal: Refusal, *, is_complete: bool) -> None:
        headers, body = render(refusal, path=self.path.decode("latin1"))
        if not is_complete:
            self.part()
        self.handle_reply({"type": "http.response.start", "status": refusal.status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": body, "more_body": not is_complete})

    def _log_details(self, status: int) -> dict[str, Any]:
        return {
            "path": self.path.decode("latin1"),
            "status": status,
            "method": self.method.decode("latin1"),
            "time_taken": 0.0,
            "size": self.sentLength,
        }


class Factory(HTTPFactory):
    """Makes the protocol of each connection, and knows those that are open and speak HTTP."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.timeOut = server.client_seconds
        self._connections: WeakSet[Any] = WeakSet()

    def protocol(self) -> Any:
        """Return what takes a connection: as Twisted's own, around our channel."""
        return _GenericHTTPChannelProtocol(Channel())

    def buildProtocol(self, addr: IAddress) -> Any:  # noqa: N802
        """Return the protocol of a new connection."""
        protocol: Any = super().buildProtocol(addr)
        protocol.requestFactory = Request
        self._connections.add(protocol)
        return protocol

    def open_channels(self) -> list[Any]:
        """Return the HTTP channels that are connected; an upgraded socket is none any more."""
        channels = [protocol._channel for protocol in self._connections]  # noqa: SLF001
        return [channel for channel in channels if channel.transport and channel.transport.connected]
