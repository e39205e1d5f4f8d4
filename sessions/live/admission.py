"""Admission: how many HTTP requests run at once, and on which threads.

Each admitted request has a slot, and each slot one thread that outlives the request. Django opens a
ThreadSensitiveContext of its own for every request, but inside another one that is without effect (asgiref
3.13: only the outermost counts), so all sync work of the request runs on the slot's thread and there are
never more threads, or database connections, than slots.

A request has its whole body before it asks for a slot (Daphne reads it first), and Daphne buffers what a
slow reader does not take, so slow clients hold no slot.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from functools import partial
from urllib.parse import parse_qs

from asgiref.sync import ThreadSensitiveContext

from sessions.live.asgi_types import Application, Message, Receive, Scope, Send
from sessions.live.kept import PAGE_STATEMENTS, keep_connection
from sessions.live.lanes import Lanes
from sessions.live.refusals import BUSY, STOPPING, send_refusal

WAITING_REQUESTS = 1000
"""Long polls at once; each costs a connection and a task, but no thread."""

LARGEST_SHORT_BODY = 2 * 1024 * 1024
"""Bytes of a body that may take the short way: reading a larger one would hold up those behind it."""

_UUID = "[0-9a-fA-F-]{36}"
_APPEND = re.compile(
    "/api/v1/sessions/[^/]+/(?:messages|events|heartbeat|checkpoints)"
    "|/api/zeroclaw/sessions/[^/]+/messages"
    f"|/v1/sessions/{_UUID}/checkpoints"
)
_READ = re.compile(
    f"/api/v1/sessions/{_UUID}(?:/(?:messages|checkpoints|checkpoints/active|state|todo))?"
    f"|/api/v1/checkpoints/{_UUID}"
    "|/api/zeroclaw/sessions/[^/]+/messages"
    f"|/v1/sessions/(?:checkpoints/)?{_UUID}"
)
_LONG_POLL = re.compile(r"/+api/v1/sessions/[^/]+/commands/?")


def is_waiting(scope: Scope) -> bool:
    """Say whether the request mostly waits, and so must not occupy a slot meanwhile.

    These are the long polls for commands, and the health check, which has to answer when all slots are
    taken. They share a few lanes for their short database work; a view that waits must be async.
    """
    if scope["method"] not in {"GET", "HEAD"}:
        return False
    if scope["path"].lstrip("/") == "healthz":
        return True
    asks_to_wait = "wait" in parse_qs(scope["query_string"].decode("latin1"), keep_blank_values=True)
    return asks_to_wait and _LONG_POLL.fullmatch(scope["path"]) is not None


class Way(Enum):
    """What takes the short way (`sessions.live.short_way`): what an agent does with one session at every step."""

    APPEND = auto()
    READ = auto()


_SHORT = {"POST": (Way.APPEND, _APPEND), "GET": (Way.READ, _READ)}


def short_way(scope: Scope) -> Way | None:
    """Say which short way the request takes: it comes with a key, and appends to a session or reads from it."""
    if scope["type"] != "http" or scope["method"] not in _SHORT:
        return None
    way, paths = _SHORT[scope["method"]]
    if paths.fullmatch(scope["path"]) is None:
        return None
    headers = dict(scope["headers"])
    # Of a body that comes in pieces nobody knows yet how long it is.
    size = 0 if way is Way.READ else int(headers.get(b"content-length", LARGEST_SHORT_BODY + 1))
    return way if b"authorization" in headers and size <= LARGEST_SHORT_BODY else None


class Admission:
    """ASGI middleware: at most `admitted` requests inside, at most `queued` in front, 503 beyond.

    Requests enter in the order in which they came. One that is cancelled while it still stands in front
    (the server stops and has no more time) is answered 503 rather than dropped: nothing of it was done.
    """

    def __init__(
        self,
        application: Application,
        *,
        admitted: int,
        queued: int,
        waiting: int = WAITING_REQUESTS,
        is_waiting: Callable[[Scope], bool] = is_waiting,
    ) -> None:
        self._application = application
        self._waits = Lanes(application, name="wait")
        self._is_waiting = is_waiting
        keep = partial(keep_connection, statements=PAGE_STATEMENTS)
        self._slots = [
            ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"request-{n}", initializer=keep)
            for n in range(admitted)
        ]
        # The slot that became free last is taken first: its thread exists, its caches are warm.
        self._free = list(reversed(self._slots))
        self._queue: deque[asyncio.Future[ThreadPoolExecutor]] = deque()
        self._queued = queued
        self._waiting = waiting
        self._waiting_now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, at once or in its turn, or refuse it; sockets pass, and what has threads of its own."""
        if scope["type"] != "http" or short_way(scope):
            await self._application(scope, receive, send)
        elif self._is_waiting(scope):
            await self._wait(scope, receive, send)
        elif not self._free and len(self._queue) >= self._queued:
            await send_refusal(BUSY, path=scope["path"], send=send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            slot = await self._take_slot()
        except asyncio.CancelledError:
            await send_refusal(STOPPING, path=scope["path"], send=send)
            raise
        try:
            async with ThreadSensitiveContext(executor=slot):
                await self._application(scope, receive, send)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: the slot is free when what it still does is done.
            loop = asyncio.get_running_loop()
            slot.submit(_do_nothing).add_done_callback(lambda _: self._give_back_later(slot, loop))
            raise
        except BaseException:
            self._give_back(slot)
            raise
        self._give_back(slot)

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._waiting_now >= self._waiting:
            await send_refusal(BUSY, path=scope["path"], send=send)
            return
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        self._waiting_now += 1
        try:
            await self._waits(scope, receive, watch)
        except asyncio.CancelledError:
            if not has_begun:
                await send_refusal(STOPPING, path=scope["path"], send=send)
            raise
        finally:
            self._waiting_now -= 1

    async def _take_slot(self) -> ThreadPoolExecutor:
        if self._free:
            return self._free.pop()
        turn: asyncio.Future[ThreadPoolExecutor] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())  # handed over in the very moment of the cancellation
            raise
        finally:
            with contextlib.suppress(ValueError):  # whoever handed the slot over has removed it
                self._queue.remove(turn)

    def _give_back(self, slot: ThreadPoolExecutor) -> None:
        """Hand the slot to the first in the queue, past which nobody can push; else it is free."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(slot)
                return
        self._free.append(slot)

    def _give_back_later(self, slot: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(self._give_back, slot)


def _do_nothing() -> None:
    """Stand behind what a thread still does."""
