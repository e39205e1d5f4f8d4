"""The long poll: wait for commands without a thread and without a database connection."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection
from django.dispatch import receiver
from django.http import HttpRequest

from sessions import commands
from sessions.models import Command
from sessions.signals import event_heard, event_recorded

Result = TypeVar("Result")

LONGEST_SECONDS = 60
"""A poll waits this long at most: proxies cut connections that are silent for longer."""
LOOK_AGAIN_SECONDS = 5.0
"""Without Redis, or when a hint is lost, another process has stored a command and no bell rings here."""


class _Waiters:
    """Who waits for which session. Bells ring on threads, waiters live on event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: dict[int, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = defaultdict(set)

    @contextmanager
    def bell_of(self, session_id: int) -> Iterator[asyncio.Event]:
        """Give an event of the running loop that is set whenever the session records something."""
        bell = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._bells[session_id].add(bell)
        try:
            yield bell[1]
        finally:
            with self._lock:
                self._bells[session_id].discard(bell)
                if not self._bells[session_id]:
                    del self._bells[session_id]

    def ring(self, session_id: int) -> None:
        """Wake who waits for the session."""
        with self._lock:
            bells = list(self._bells.get(session_id, ()))
        for loop, bell in bells:
            with suppress(RuntimeError):  # the loop is closed: its server has gone
                loop.call_soon_threadsafe(bell.set)


_waiters = _Waiters()


@receiver([event_recorded, event_heard], dispatch_uid="native-long-poll")
def _ring(session_id: int, **_kwargs: Any) -> None:
    _waiters.ring(session_id)


async def wait_for_commands(
    session_id: int, *, seconds: float, check: Callable[[], object], draining: asyncio.Event | None = None
) -> list[Command]:
    """Return the commands to hand over, as soon as there are any; none after `seconds`, or once `draining` is set.

    `check` raises when whoever has waited may not have them any more.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    take: Callable[[int], list[Command]] = partial(commands.take, is_poll=True)
    with _waiters.bell_of(session_id) as bell:
        while True:
            bell.clear()
            is_last = draining is not None and draining.is_set()
            taken = await in_thread(take, session_id)
            left = end - loop.time()
            if taken or left <= 0 or is_last:
                return taken
            await _wait_for_any([bell, *([] if draining is None else [draining])], min(left, LOOK_AGAIN_SECONDS))
            take = partial(_take_after, check)


def _take_after(check: Callable[[], object], session_id: int) -> list[Command]:
    """Return the commands to hand over, if any wait, to whom `check` lets have them."""
    if not commands.are_waiting(session_id, is_poll=True):
        return []
    check()
    return commands.take(session_id, is_poll=True)


async def _wait_for_any(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Wait until one of the events is set, for at most `seconds`."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def draining_of(request: HttpRequest) -> asyncio.Event | None:
    """Return the event that is set when the server begins to stop; None under a server that tells of no such thing."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    found: asyncio.Event | None = scope.get("extensions", {}).get("koda.draining")
    return found


async def in_thread(read: Callable[..., Result], *args: Any) -> Result:
    """Return `read(*args)`, which may use the database, and give its connection back: the next use may be far."""

    def work() -> Result:
        try:
            return read(*args)
        finally:
            if not connection.in_atomic_block:  # a transaction around a whole request is a test's
                connection.close_if_unusable_or_obsolete()

    return await sync_to_async(work)()
