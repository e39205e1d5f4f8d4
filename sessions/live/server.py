"""The server process: Daphne's server, taught to stop, to bound what it accepts, and not to hang up.

What the plain one does is told where it is put right. Nothing here knows Django or a setting, so it runs
any ASGI application.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import autobahn.websocket.protocol
import daphne.server
from autobahn.websocket.protocol import PreparedMessage
from autobahn.websocket.protocol import WebSocketProtocol as SocketState
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.error import ConnectionDone
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogPublisher,
)
from twisted.python.failure import Failure

from sessions.live.asgi_types import Application, Message, Scope
from sessions.live.backpressure import INLET, LONGEST_MESSAGE, Gauge, Inlet, SocketProtocol, taking
from sessions.live.bodies import Factory, Request

logger = logging.getLogger(__name__)
reactor: Any = _reactor  # its interface is declared in a way that type checkers misread

BACKLOG = 1024
"""Connections that the kernel holds for us; Twisted's 50 are gone when a few hundred pages reconnect at once."""
PING_SECONDS = 20
PING_TIMEOUT_SECONDS = 30
ACCEPT_SECONDS = 8
"""How long a handshake may wait for us: while a thousand pages come back at once, Daphne's five cut who was next.

Less than the ten that clients wait: over TLS a well-known one hangs for good when its own patience ends first.
"""
CLOSING_SECONDS = 10
"""How long a close may wait for the other side's; autobahn's one is over before a busy server has sent its own code."""
SERVICE_RESTART = 1012
"""The close code upon which browsers come back by themselves."""
LONGEST_SHARED = 64 * 1024
"""Characters of a text that is put into a frame once, for all sockets that it is sent to."""
MAX_HELD_BODIES = 8
"""How many bodies of the greatest size may be held at once, on disk or in memory, by all connections."""

_TICK_SECONDS = 0.02
_GRACE_SECONDS = 0.3
"""What a connection that is kept alive has to send its next request in, before it is closed as idle."""
_LAST_WORDS_SECONDS = 2
_EXIT_SECONDS = 3
_LAST_CLOSING_SECONDS = 1
_SLOW_SECONDS = 1.0
_ERROR = 500
_GONE_AT = "disconnected"
"""Under this name Daphne notes when a connection ended."""
_GONE: dict[str, float] = {_GONE_AT: 1.0}


class CannotListen(Exception):
    """The address cannot be listened on; the text is the system's reason."""


class Background(Protocol):
    """Something that runs beside the requests, on the server's loop."""

    async def start(self) -> None:
        """Begin; called once the loop runs."""

    async def stop(self) -> None:
        """End in good order; called when no request is left."""


class Server(daphne.server.Server):
    """Serves one ASGI application over HTTP and WebSocket on one address until it is told to stop.

    SIGTERM and SIGINT begin a drain: no new connections, close code 1012 for sockets, all requests that are
    running, queued or being received are answered, for at most `drain_seconds`; then `background` stops
    and `run()` returns. A second signal takes the waiting away. Applications find the event in
    ``scope["extensions"]["koda.draining"]``, so that a long poll can answer early.
    """

    def __init__(
        self,
        application: Application,
        *,
        host: str,
        port: int,
        max_body: int,
        client_seconds: int,
        drain_seconds: float,
        listening: Callable[[str, int], None],
        background: Sequence[Background] = (),
    ) -> None:
        """Prepare; `listening` is called once with the host and the port that the system gave.

        `client_seconds` is the time that a client has to go on, see `sessions.live.pace`.
        """
        super().__init__(
            taking(application),
            endpoints=[f"tcp:port={port}:interface={quoteStringArgument(host)}:backlog={BACKLOG}"],
            signal_handlers=False,  # Twisted's stop at once
            action_logger=log_action,
            request_buffer_size=1024 * 1024,
            websocket_timeout=-1,  # the default ends every socket after a day, with a code that pages take for good
            ping_interval=PING_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            websocket_handshake_timeout=ACCEPT_SECONDS,
            websocket_max_message_size=LONGEST_MESSAGE,
            websocket_max_frame_size=LONGEST_MESSAGE,
            server_name="",
        )
        self.max_body = max_body
        self.client_seconds = client_seconds
        self.max_held = max_body * MAX_HELD_BODIES
        self.held = 0
        self.in_memory = 0
        self.draining = asyncio.Event()
        self.has_cut = False
        """Whether the drain ended before all requests did."""
        self._drain_seconds = drain_seconds
        self._listening = listening
        self._background = background
        self._ports: list[Any] = []
        self._listen_failure: str | None = None
        self._hurry = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- Life ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Listen and serve until a signal; raise CannotListen when the address is not to be had."""
        # Daphne looks its factories up by these names and offers no other way to put in one's own.
        daphne.server.HTTPFactory = Factory
        daphne.server.WebSocketFactory = _SocketFactory
        # For a debug line of each connection autobahn spells out all its options: a tenth of what a handshake costs.
        autobahn.websocket.protocol.pformat = repr
        # Daphne sends Twisted's log nowhere, the reasons of its own failures with it.
        globalLogPublisher.addObserver(_observe_warnings())
        loop = reactor._asyncioEventloop  # noqa: SLF001
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        reactor.callWhenRunning(self._start_task, self._start_background())
        super().run()
        if self._listen_failure is not None:
            raise CannotListen(self._listen_failure)

    def listen_success(self, port: Any) -> None:
        """Note the port that is open, and tell."""
        super().listen_success(port)
        self._ports.append(port)
        host = port.getHost()
        self._listening(host.host, host.port)

    def listen_error(self, failure: Failure) -> None:
        """Remember the reason for `run()`."""
        reason = getattr(failure.value, "socketError", failure.value)
        self._listen_failure = getattr(reason, "strerror", None) or str(reason)
        self.stop()

    async def _start_background(self) -> None:
        for part in self._background:
            await part.start()

    def _start_task(self, coroutine: Any) -> None:
        task = asyncio.get_event_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- Connections ---------------------------------------------------------------------------------------

    def create_application(self, protocol: Any, scope: Scope) -> Any:
        """Start the application for one request or socket."""
        scope.setdefault("extensions", {})["koda.draining"] = self.draining
        if scope["type"] == "websocket":
            protocol.gauge = Gauge(protocol)
            has_key = any(name == b"authorization" for name, _ in scope["headers"])
            protocol.inlet = scope["extensions"][INLET] = Inlet(protocol.transport, has_key=has_key)
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: Message) -> None:
        """Pass on what an application sends; over a socket no faster than its client reads."""
        if message["type"] != "websocket.send":
            await super().handle_reply(protocol, message)
            return
        text = message.get("text") or ""
        is_open = protocol.state == SocketState.STATE_OPEN and not self.connections.get(protocol, _GONE).get(_GONE_AT)
        if is_open and 0 < len(text) <= LONGEST_SHARED:
            protocol.gauge.write(_frame_of(text))
        else:
            await super().handle_reply(protocol, message)
        await protocol.gauge.wait()

    def protocol_disconnected(self, protocol: Any) -> None:
        """Note that a connection ended; a socket that was rejected says so twice."""
        if protocol in self.connections:
            super().protocol_disconnected(protocol)

    def application_checker(self) -> None:
        """Reap what is done, every second, whatever one connection makes of it."""
        try:
            super().application_checker()
        except Exception:
            logger.exception("A connection could not be checked")
            reactor.callLater(1, self.application_checker)

    def timeout_checker(self) -> None:
        """Ping and time out, every two seconds, whatever one connection makes of it."""
        try:
            super().timeout_checker()
        except Exception:
            logger.exception("A connection could not be checked for its timeouts")
            reactor.callLater(2, self.timeout_checker)

    def _requests(self) -> list[Request]:
        """Return the requests that still have to be answered, those that are being received included."""
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, Request) and "disconnected" not in details and not protocol.is_refused
        ]

    def _sockets(self) -> list[WebSocketProtocol]:
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, WebSocketProtocol) and "disconnected" not in details
        ]

    def _applications(self) -> list[asyncio.Task[None]]:
        # A connection has no application before it begins and after it was reaped; Daphne trips over that.
        found = [details.get("application_instance") for details in self.connections.values()]
        return [task for task in found if task is not None and not task.done()]

    # --- Stop ----------------------------------------------------------------------------------------------

    def _asked_to_stop(self) -> None:
        if self.draining.is_set():
            self._hurry.set()
            return
        self.draining.set()
        self._start_task(self._drain())

    async def _drain(self) -> None:
        logger.info("Stopping: %d requests to finish", len(self._requests()))
        try:
            self._stop_listening()
            await self._see_off()
            await self._end_applications()
            await self._stop_background()
            await self._end_tasks()
        except Exception:
            logger.exception("The server could not stop in good order")
        reactor.stop()

    def _stop_listening(self) -> None:
        for port in self._ports:
            # Whoever has got through to the kernel is reset by the close, so take them all in right before it.
            # Twisted's stopListening() closes a moment later, which under load costs some their request.
            port.stopReading()
            for _ in range(2):
                port.numberAccepts = BACKLOG
                port.doRead()
            port.connectionLost(Failure(ConnectionDone()))

    async def _see_off(self) -> None:
        """Wait until every connection has its answer and is closed, or time or patience is up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + self._drain_seconds and not self._hurry.is_set():
            self._close_sockets()
            channels = self.http_factory.open_channels()
            if loop.time() >= began + _GRACE_SECONDS:
                self._close_idle(channels)
            if not channels and not self._sockets() and not self._requests():
                return
            await asyncio.sleep(_TICK_SECONDS)
        unanswered = len(self._requests())
        if unanswered:
            self.has_cut = True
            logger.warning("Stopped before %d requests were answered", unanswered)

    def _close_sockets(self) -> None:
        for socket in self._sockets():
            socket.closeHandshakeTimeout = _LAST_CLOSING_SECONDS
            if socket.state == SocketState.STATE_OPEN:
                # sendClose() allows only 1000 and 3000 to 4999.
                socket.sendCloseFrame(code=SERVICE_RESTART)

    def _close_idle(self, channels: list[Any]) -> None:
        for channel in channels:
            if all(request.is_refused for request in channel.requests):
                channel.loseConnection()

    async def _end_applications(self) -> None:
        """Let applications say their last words after their connection ended; cancel those that do not end."""
        if not self._hurry.is_set() and not self.has_cut:
            await _wait(self._applications(), seconds=_LAST_WORDS_SECONDS)
        left = self._applications()
        for task in left:
            task.cancel()
        await _wait(left, seconds=_LAST_WORDS_SECONDS)
        if left:
            await asyncio.sleep(_TICK_SECONDS * 5)  # until what they answered is on its way

    async def _stop_background(self) -> None:
        for part in reversed(self._background):
            await part.stop()

    async def _end_tasks(self) -> None:
        """Cancel what else runs on the loop: a task that is pending when the interpreter ends may crash it."""
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await _wait(left, seconds=1)

    def kill_all_applications(self) -> None:
        """Cancel what runs, when the reactor stops for another reason than a drain."""
        for task in self._applications():
            task.cancel()


@lru_cache(maxsize=64)
def _frame_of(text: str) -> bytes:
    """Return the frame of a text; what goes to a thousand sockets is the same for all."""
    frame: bytes = PreparedMessage(text.encode(), isBinary=False, applyMask=False, doNotCompress=True).payloadHybi
    return frame


class _SocketFactory(WebSocketFactory):
    """Makes the protocol of each socket."""

    protocol = SocketProtocol

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.setProtocolOptions(closeHandshakeTimeout=CLOSING_SECONDS)


def exit_soon() -> None:
    """End the process with 0 even if a thread is stuck in a request that the drain gave up.

    Python waits for all threads of executors when it ends, however long a query takes.
    """
    last_resort = threading.Timer(_EXIT_SECONDS, os._exit, [0])
    last_resort.daemon = True
    last_resort.start()


def _observe_warnings() -> Any:
    log: Any = STDLibLogObserver("twisted")
    worth_telling: list[Any] = [LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)]
    return FilteringLogObserver(log, worth_telling)


async def _wait(tasks: Sequence[asyncio.Task[Any]], *, seconds: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def log_action(protocol: str, action: str, details: dict[str, Any]) -> None:
    """Log a finished request: a failed one as a warning, a slow one as information, others for debugging.

    One that asked to wait is not slow. Without the query, in which people search.
    """
    if (protocol, action) != ("http", "complete"):
        return
    taken, status = details["time_taken"], details["status"]
    path, _, query = details["path"].partition("?")
    level = logging.DEBUG
    if status >= _ERROR:
        level = logging.WARNING
    elif taken > _SLOW_SECONDS and "wait=" not in query:
        level = logging.INFO
    logger.log(level, "%s %s %s %.0f ms", details["method"], path, status, taken * 1000)
