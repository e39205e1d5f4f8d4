"""Threads on which the live door reaches the database, few and its own.

A socket that has to be let in runs on a lane (`lanes.py`); what all sockets share is read here, so that neither
waits for the other. A connection is opened for a piece of work and closed with it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from django.db import close_old_connections

READERS = 3
WRITERS = 2

T = TypeVar("T")

_readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="hub-read")
_writers = ThreadPoolExecutor(max_workers=WRITERS, thread_name_prefix="socket-write")


async def reading(work: Callable[[], T]) -> T:
    """Run `work`, which reads the database, on one of the readers and return what it returns."""
    return await asyncio.get_running_loop().run_in_executor(_readers, partial(_with_own_connection, work))


async def writing(work: Callable[[], T]) -> T:
    """Run `work`, which changes the database and may wait for its lock, on one of the writers."""
    return await asyncio.get_running_loop().run_in_executor(_writers, partial(_with_own_connection, work))


def _with_own_connection(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()
