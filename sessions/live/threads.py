"""Threads on which the live door reaches the database, few and its own.

A socket that has to be let in runs on a lane (`lanes.py`); what all sockets share is read here, so that neither
waits for the other. A connection is opened for a piece of work and closed with it, or with the last of those that
stand in line: to open one costs SQLite more than most of what is read over it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from django.db import close_old_connections

READERS = 3
WRITERS = 2

T = TypeVar("T")

_KEPT_SECONDS = 1.0
"""How old a connection may be that was kept for the next in line; SQLite's file may be another by then."""

_kept = threading.local()
_readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="hub-read")
_writers = ThreadPoolExecutor(max_workers=WRITERS, thread_name_prefix="socket-write")


async def reading(work: Callable[[], T]) -> T:
    """Run `work`, which reads the database, on one of the readers and return what it returns."""
    return await _run(_readers, work)


async def writing(work: Callable[[], T]) -> T:
    """Run `work`, which changes the database and may wait for its lock, on one of the writers."""
    return await _run(_writers, work)


async def _run(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, partial(_with_own_connection, threads, work))


def _with_own_connection(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    if time.monotonic() > getattr(_kept, "until", 0.0):
        close_old_connections()  # another thread took the work for which this one kept its connection
    is_to_close = True
    try:
        done = work()
        is_to_close = threads._work_queue.empty()  # noqa: SLF001 - the executor does not say otherwise
        return done
    finally:
        if is_to_close:
            close_old_connections()
        _kept.until = time.monotonic() + _KEPT_SECONDS
