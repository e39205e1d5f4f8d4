"""Several threads at once, each with its own connection to the database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")
_PATIENCE_SECONDS = 30


def in_threads(act: Callable[[], T], *, count: int = 3) -> list[T]:
    """Call `act` at the same time on so many threads, and return what each returned; what one raises is raised."""
    start = threading.Barrier(count)

    def run() -> T:
        try:
            start.wait(_PATIENCE_SECONDS)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=count) as threads:
        return [running.result() for running in [threads.submit(run) for _ in range(count)]]
