"""Backpressure: a socket's `send` comes back when its client has taken what was sent before.

Daphne writes whatever an application sends into a buffer without a limit: a client that reads slowly, or stalls,
would cost as much memory as it misses.
"""

import asyncio
from typing import Any


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
