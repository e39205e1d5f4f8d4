"""Backpressure, both ways: a socket's `send` comes back when its client has taken what was sent before.

And of a client no more is read than the application takes.
Daphne has no limit in either direction: a client that reads slowly would cost as much memory as it misses, and one that
writes faster than the store takes it as much as it sends.
"""

import asyncio
from collections import deque
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol as SocketState
from daphne.ws_protocol import WebSocketProtocol

from sessions.live.asgi_types import Application, Message, Receive, Scope, Send

HELD_MESSAGES = 64
HELD_BYTES = 1024 * 1024
"""Messages, and bytes in them, that one client may have waiting here before no more is read from it."""
LONGEST_MESSAGE = 17 * 1024 * 1024
"""Bytes of a message, both ways (autobahn applies it to what is sent, too): a content of 16 MiB and its frame."""
LONGEST_OF_A_STRANGER = 64 * 1024
"""Bytes that a message may have until its sender has shown a key: others are closed before they have sent much."""
INLET = "koda.inlet"
"""Where in the extensions of its scope a socket finds its `Inlet`; other servers have none."""


class Gauge:
    """Twisted's view of who fills a connection's buffer: told to pause when it is full, to resume when it is empty.

    Twisted's limit is 64 KiB, so a client holds back at most that and one message.
    """

    def __init__(self, protocol: Any) -> None:
        """Watch the buffer of a socket's connection, whose HTTP part has nothing left to say."""
        self._transport = protocol.transport
        self._has_room = asyncio.Event()
        self._has_room.set()
        protocol.unregisterProducer()
        protocol.registerProducer(self, True)  # noqa: FBT003 - Twisted's own signature: it is pushed

    def write(self, data: bytes) -> None:
        """Give as much to the kernel as it takes at once, and the rest to the buffer.

        Twisted would wait for the loop to find that the connection can be written to, which costs more than the
        writing itself.
        """
        transport = self._transport
        is_free = transport.connected and not (transport.dataBuffer or transport._tempDataLen)  # noqa: SLF001
        taken = transport.writeSomeData(data) if is_free else 0
        if not isinstance(taken, int):  # the connection is lost; the loop will find out
            taken = 0
        if taken < len(data):
            transport.write(data[taken:])

    async def wait(self) -> None:
        """Wait until there is room, or nobody left to wait for."""
        await self._has_room.wait()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that the buffer is full."""
        self._has_room.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        """Note that the buffer is empty."""
        self._has_room.set()

    def stopProducing(self) -> None:  # noqa: N802
        """Note that the connection is gone."""
        self._has_room.set()


class Inlet:
    """What a client has sent and the application has not taken yet, and how long its messages may be."""

    def __init__(self, transport: Any, *, has_key: bool) -> None:
        """Watch a connection; whoever shows a key with the handshake may begin before it is looked at."""
        self.longest = LONGEST_MESSAGE if has_key else LONGEST_OF_A_STRANGER
        self._transport = transport
        self._held: deque[int] = deque()
        self._bytes = 0
        self._is_closed = False

    def let_in(self) -> None:
        """Take long messages from now on: it is known who sends them."""
        self.longest = LONGEST_MESSAGE

    def hold(self, size: int) -> None:
        """Note a message that waits; when too much does, read no more."""
        self._held.append(size)
        self._bytes += size
        if not self._is_closed and self._is_full:
            self._is_closed = True
            self._transport.pauseProducing()

    def release(self) -> None:
        """Note that the application took the oldest of them."""
        self._bytes -= self._held.popleft()
        if self._is_closed and not self._is_full:
            self._is_closed = False
            self._transport.resumeProducing()

    @property
    def _is_full(self) -> bool:
        return len(self._held) >= HELD_MESSAGES or self._bytes >= HELD_BYTES


class SocketProtocol(WebSocketProtocol):
    """Daphne's protocol of one socket, which knows its inlet."""

    inlet: Inlet | None = None
    failByDrop = False  # noqa: N815 - autobahn's name: who breaks a rule is told which, by the close code

    def serverAccept(self, subprotocol: str | None = None) -> None:  # noqa: N802 - Daphne's name
        """Accept, unless the connection was dropped meanwhile: autobahn would take it for open again, and trip."""
        if self.state == SocketState.STATE_CONNECTING:
            super().serverAccept(subprotocol)

    def onMessageFrameBegin(self, length: int) -> None:  # noqa: N802 - autobahn's name
        """Refuse a message that is too long for its sender, before anything of the frame is kept."""
        longest = self.inlet.longest if self.inlet else LONGEST_OF_A_STRANGER
        if not self.failedByMe and self.message_data_total_length + length > longest:
            self.wasMaxMessagePayloadSizeExceeded = True
            self._max_message_size_exceeded(self.message_data_total_length + length, longest, "too long")
        super().onMessageFrameBegin(length)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803, FBT001
        """Put a message before the application, and count it."""
        if self.inlet is not None and not self.muted:
            self.inlet.hold(len(payload))
        super().onMessage(payload, isBinary)


def taking(application: Application) -> Application:
    """Let the inlet of each socket know when the application takes a message."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        inlet: Inlet | None = scope.get("extensions", {}).get(INLET)

        async def take() -> Message:
            message = await receive()
            if inlet is not None and message["type"] == "websocket.receive":
                inlet.release()
            return message

        await application(scope, take, send)

    return run
