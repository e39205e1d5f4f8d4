"""How much work SQLite does for an answer, in steps of its machine: the same on a busy computer and on an idle one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection


@dataclass
class Steps:
    """The steps taken so far."""

    count: int = 0


@contextmanager
def counted_steps() -> Iterator[Steps]:
    """Count the steps of all statements within."""
    steps = Steps()

    def step() -> int:
        steps.count += 1
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(step, 1)
    try:
        yield steps
    finally:
        connection.connection.set_progress_handler(None, 0)
