"""Broadcast: hears the bell and passes a hint on, to the hub of this process and to those of others.

A hint says "session 7 has something up to 41" and nothing more: it may be lost, doubled or late, and the log
still tells everything. Writers never wait for those who watch.
"""

import asyncio
import contextlib
import hashlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.dispatch import receiver

from sessions.respite import Respite
from sessions.signals import event_heard, event_recorded

logger = logging.getLogger(__name__)

COALESCE_SECONDS = 0.1
"""Hints of one session within this time become one."""

_HINTS_A_MESSAGE = 500
_SEND_SECONDS = 3
_RETRY_SECONDS = 2

Seqs = Mapping[int, int]
"""The newest seq by session."""

_origin = uuid.uuid4().hex
"""Tells this process's own messages from those of others."""


def reaches_others() -> bool:
    """Say whether the channel layer is shared with other processes."""
    backend = str(settings.CHANNEL_LAYERS["default"]["BACKEND"])
    return not backend.endswith("InMemoryChannelLayer")


def group() -> str:
    """Return the one group of this installation, for several may share a Redis."""
    return f"koda.hints.{hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest()[:16]}"


class Outlet:
    """Hands hints from any thread to one loop, at most every `COALESCE_SECONDS`, and on to other processes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[Seqs], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._lock = threading.Lock()
        self._pending: dict[int, int] = {}
        self._is_armed = False
        self._flushed_at = float("-inf")
        self._abroad: dict[int, int] = {}
        self._sender: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Say whether its loop still runs."""
        return not self._loop.is_closed()

    def put(self, session_id: int, seq: int) -> None:
        """Take a hint; returns at once."""
        with self._lock:
            _raise_seq(self._pending, session_id, seq)
            if self._is_armed:
                return
            self._is_armed = True
        with contextlib.suppress(RuntimeError):  # the loop has just closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        wait = self._flushed_at + COALESCE_SECONDS - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            seqs, self._pending = self._pending, {}
            self._is_armed = False
        self._flushed_at = self._loop.time()
        self._deliver(seqs)
        if reaches_others():
            for session_id, seq in seqs.items():
                _raise_seq(self._abroad, session_id, seq)
            if self._sender is None or self._sender.done():
                self._sender = self._loop.create_task(self._send_abroad())

    async def _send_abroad(self) -> None:
        from channels.layers import get_channel_layer

        while self._abroad:
            seqs, self._abroad = self._abroad, {}
            try:
                await _send(get_channel_layer(), seqs)
            except Exception as error:  # noqa: BLE001 - whatever the layer's client raises, a hint is not worth more
                logger.warning("Other processes could not be told at once: %r", error)


_outlet: Outlet | None = None
_respite = Respite(seconds=10)
"""Of the layer, in a process without a hub."""


def open_outlet(deliver: Callable[[Seqs], None]) -> None:
    """From now on give hints to `deliver`, on the loop that runs here; the latest caller is the one that gets them."""
    global _outlet  # noqa: PLW0603 - one bell, one ear a process
    _outlet = Outlet(asyncio.get_running_loop(), deliver)


@receiver(event_recorded, dispatch_uid="live.broadcast")
def pass_on(*, session_id: int, seq: int, **_: Any) -> None:
    """Pass the bell's hint on. Called after commit, on the thread that wrote."""
    if _outlet is not None and _outlet.is_open:
        _outlet.put(session_id, seq)
    elif reaches_others():
        _send_at_once(session_id, seq)


def _send_at_once(session_id: int, seq: int) -> None:
    """Tell the servers from a process that is none, such as a command; a layer that is down is left alone."""
    if _respite.is_on:
        return
    try:
        async_to_sync(_send_alone)({session_id: seq})
    except Exception as error:  # noqa: BLE001 - see Outlet
        _respite.begin()
        logger.warning("The servers could not be told at once: %r", error)


async def _send_alone(seqs: Seqs) -> None:
    """Send through a layer of our own and close it in the same loop, which does not outlive this call."""
    from channels.layers import channel_layers

    layer: Any = channel_layers.make_backend("default")
    try:
        await _send(layer, seqs)
    finally:
        await asyncio.wait_for(layer.flush(), _SEND_SECONDS)


async def _send(layer: Any, seqs: Seqs) -> None:
    for part in _parts(seqs.items()):
        message = {"type": "hint", "from": _origin, "seqs": part}
        await asyncio.wait_for(layer.group_send(group(), message), _SEND_SECONDS)


def _parts(items: Iterable[tuple[int, int]]) -> Iterable[list[list[int]]]:
    rest = iter(items)
    while part := [list(item) for item in islice(rest, _HINTS_A_MESSAGE)]:
        yield part


def _raise_seq(seqs: dict[int, int], session_id: int, seq: int) -> None:
    seqs[session_id] = max(seq, seqs.get(session_id, 0))


async def listen_to_others(deliver: Callable[[Seqs], None]) -> None:
    """Give the hints of other processes to `deliver` and to who waits here; a layer that fails is tried again."""
    from channels.layers import get_channel_layer

    layer: Any = get_channel_layer()
    while not _is_cancelled():
        try:
            channel = await layer.new_channel()
            await layer.group_add(group(), channel)
            while not _is_cancelled():
                message = await layer.receive(channel)
                if message["from"] != _origin:
                    seqs = {int(session_id): int(seq) for session_id, seq in message["seqs"]}
                    deliver(seqs)
                    for session_id, seq in seqs.items():
                        event_heard.send_robust(sender=None, session_id=session_id, seq=seq)
        except Exception as error:  # noqa: BLE001 - see Outlet
            logger.warning("Other processes cannot be heard: %r", error)
            await asyncio.sleep(_RETRY_SECONDS)


def _is_cancelled() -> bool:
    """Say whether this task is to end; the layer's client has been seen to swallow a cancellation while it connects."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
