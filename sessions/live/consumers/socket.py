"""What all sockets share: one task that sends, one batch in flight, and an orderly end."""

import asyncio
import contextlib
import logging
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.db import InterfaceError, OperationalError

from sessions.live import frames
from sessions.live.asgi_types import Application, Message, Receive, Scope, Send
from sessions.live.callers import Caller
from sessions.live.feeds import Batch, Feed, Place
from sessions.live.hub import BAD_FRAME, GONE, LAGGING, MAY_NOT_SEE, NO_STORE, OUR_FAULT, Hub, Refused
from sessions.models import Session

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60
"""How long a batch may be on its way; then the socket is closed, and what it missed stays in the log."""


class Socket:
    """A socket of one caller. Subclasses say who is let in (`enter`) and what is sent (`deliver`).

    All is sent by the pump, a task that runs whenever the socket is poked; while something is in flight, nothing
    is fetched. Not one of Channels' consumers: those join the layer one by one and go through a thread for each
    message, while here the hub hears the layer for all.
    """

    kind = "socket"
    limit = 0
    """Sockets of this kind that one caller may have in one process."""
    shows_ages = False

    caller: Caller
    hub: Hub
    scope: Scope
    _send: Send

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._is_ping_due = False
        self._in_flight_since: float | None = None
        self._sending_since: list[float] = []
        self._pump: asyncio.Task[None] | None = None
        self._end: asyncio.Task[None] | None = None

    @classmethod
    def as_asgi(cls) -> Application:
        """Return the application that runs a new socket for each connection."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await cls().run(scope, receive, send)

        return application

    # --- Life ----------------------------------------------------------------------------------------------

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run from the handshake to the end of the connection."""
        self.scope, self._send = scope, send
        self.hub = Hub.present()
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                await self.dispatch(message)
        finally:
            await self._leave()

    async def dispatch(self, message: Message) -> None:
        """Handle one message of the connection; whatever goes wrong closes the socket with a code that tells."""
        try:
            if message["type"] == "websocket.connect":
                await self._send({"type": "websocket.accept"})
                await self.enter()
            elif self._end is None:
                await self.take(message)
        except Refused as refused:
            self.shut(refused.code)
        except (OperationalError, InterfaceError) as error:
            self._shut_without_store(error)
        except Exception:
            logger.exception("A socket failed")
            self.shut(OUR_FAULT)

    async def enter(self) -> None:
        """Authorise the caller, join the hub, say hello and begin. Raises `Refused`."""
        raise NotImplementedError

    async def take(self, message: Message) -> None:
        """Take a frame of the other side. Raises `Refused`."""
        raise NotImplementedError

    async def deliver(self) -> None:
        """Send what there is to send, or nothing. Raises `Refused`."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start the pump."""
        self._pump = asyncio.create_task(self._run_pump())
        self.poke()

    async def _run_pump(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._is_ping_due:
                    self._is_ping_due = False
                    await self.send_frame(frames.ping())
                await self.deliver()
        except Refused as refused:
            self.shut(refused.code)
        except (OperationalError, InterfaceError) as error:
            self._shut_without_store(error)
        except Exception:
            logger.exception("A socket could not be fed")
            self.shut(OUR_FAULT)

    def _shut_without_store(self, error: Exception) -> None:
        """Let it come back when the database answers; thousands do at once, so it tells no traceback."""
        logger.warning("A socket is told to come back: the database does not answer: %s", error)
        self.shut(NO_STORE)

    async def _leave(self) -> None:
        self.hub.leave(self, kind=self.kind)
        tasks = [task for task in (self._pump, self._end) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- As the hub sees it --------------------------------------------------------------------------------

    def poke(self) -> None:
        """See whether there is something to send."""
        self._wake.set()

    def notice_heard(self, pk: int) -> None:
        """Leave it at that: what shows no ages has nothing to send."""

    def beat(self) -> None:
        """Send a ping, or end when what is in flight has been so for too long."""
        waits = [*self._sending_since, *([] if self._in_flight_since is None else [self._in_flight_since])]
        if waits and self.hub.clock() - min(waits) > PATIENCE_SECONDS:
            self.shut(LAGGING)
        self._is_ping_due = True
        self.poke()

    def shut(self, code: int) -> None:
        """End with a close code; the first one counts."""
        if self._end is None:
            self._end = asyncio.create_task(self._close(code))

    async def _close(self, code: int) -> None:
        self.hub.leave(self, kind=self.kind)
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        with contextlib.suppress(Exception):  # the other side may have gone in the meantime
            await self._send({"type": "websocket.close", "code": code})

    # --- Sending -------------------------------------------------------------------------------------------

    async def send_frame(self, frame: Any) -> None:
        """Send one frame of JSON."""
        await self.send_text(frames.encode(frame))

    async def send_text(self, text: str) -> None:
        """Send a text; comes back when the other side has room for more."""
        began = self.hub.clock()
        self._sending_since.append(began)
        try:
            await self._send({"type": "websocket.send", "text": text})
        finally:
            self._sending_since.remove(began)

    def set_off(self) -> None:
        """Note that something is on its way."""
        self._in_flight_since = self.hub.clock()

    def arrive(self) -> None:
        """Note that it has arrived, and go on."""
        self._in_flight_since = None
        self.poke()

    @property
    def is_in_flight(self) -> bool:
        """Say whether something is on its way."""
        return self._in_flight_since is not None

    # --- The address ---------------------------------------------------------------------------------------

    @property
    def query(self) -> dict[str, str]:
        """Return the words of the query; of a repeated one the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin1")))

    def number(self, name: str, *, default: int) -> int:
        """Return a whole number of the query from 0. Raises `Refused` for what is none."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - fits 64 bits
            raise Refused(BAD_FRAME)
        return int(text)

    @property
    def session_uuid(self) -> UUID:
        """Return the session that the path names."""
        uuid: UUID = self.scope["url_route"]["kwargs"]["session_id"]
        return uuid


class SessionSocket(Socket):
    """A socket that follows one session's log."""

    session: Session
    place: Place

    @property
    def feed(self) -> Feed:
        """Return in which form the log is sent."""
        raise NotImplementedError

    async def follow(self, session: Session) -> None:
        """Join the hub and stand after the event that the query names, or after the newest when that is earlier."""
        self.session = session
        after = self.number("after", default=0)
        await self.hub.join(self, session_id=session.pk, kind=self.kind, limit=self.limit)
        self.place = Place(min(after, self.hub.newest(session.pk)))

    async def next_batch(self) -> Batch | None:
        """Return the next batch and stand after it; None when there is nothing new. Raises `Refused`."""
        if self.place.seq >= self.hub.newest(self.session.pk):
            return None
        batch = await self.read(self.feed)
        if batch.place == self.place:
            return None
        self.place = batch.place
        return batch

    async def read(self, feed: Feed) -> Batch:
        """Return what a feed has after our place, if it may still be read. Raises `Refused`."""
        batch = await self.hub.read(self.session.pk, self.place, feed)
        if batch.session is None:
            raise Refused(GONE)
        if not self.caller.may_read(batch.session):
            raise Refused(MAY_NOT_SEE)
        self.session = batch.session
        return batch
