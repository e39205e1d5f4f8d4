"""How a command that runs on and on is told to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType


@contextmanager
def until_told_to_stop() -> Iterator[Event]:
    """Yield an event that Ctrl-C and SIGTERM set, so that no write is cut in the middle; wait on it to rest."""
    told = Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
