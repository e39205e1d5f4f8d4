"""The memory of a server that stays up for months: collected seldom, and given back.

What is loaded at the start never dies, so the collector need not look at it. It then looks at so little that a whole
round costs milliseconds; but by its own counting such a round never comes, and sockets and requests that held one
another would stay. The C library keeps what was freed, too, in pieces of every thread: it has to be told.
"""

import ctypes
import gc
from contextlib import suppress
from datetime import timedelta

EVERY = timedelta(seconds=30)
LARGEST_KEPT = 2 * 1024 * 1024
"""Bytes of a buffer that the C library takes from what a thread freed; a larger one is the system's.

By itself it lets go of a few megabytes at once, and the next history of an agent pays for each of their pages again.
"""
MOST_KEPT = 4 * LARGEST_KEPT
"""Bytes that each of its pieces keeps free until `give_back` is called."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's numbers of its parameters (malloc.h, `mallopt`)."""
_THRESHOLD = 50_000
"""New containers between two looks of the collector; Python's own 700 cost a busy server its slowest answers."""


def calm_collector() -> None:
    """Take what is loaded out of the collector's sight, and let it look less often; call it when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD, 20, 20)
    _ask_glibc("malloc_trim", 0)


def keep_buffers() -> None:
    """Let the C library keep what megabytes were freed for the next ones."""
    _ask_glibc("mallopt", _MMAP_THRESHOLD, LARGEST_KEPT)
    _ask_glibc("mallopt", _TRIM_THRESHOLD, MOST_KEPT)


def give_back() -> None:
    """Collect what nobody holds any more, and give the system what is free."""
    gc.collect()
    _ask_glibc("malloc_trim", 0)


def _ask_glibc(name: str, *numbers: int) -> None:
    """Call one of its functions; other C libraries have none, and need none."""
    with suppress(OSError, AttributeError):
        getattr(ctypes.CDLL("libc.so.6"), name)(*numbers)
