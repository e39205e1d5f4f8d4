"""A listener on the one bell."""

from collections.abc import Iterator
from contextlib import contextmanager

from sessions.signals import event_recorded


@contextmanager
def listening() -> Iterator[list[tuple[int, int]]]:
    """Yield the (session id, seq) of every ring from here on."""
    heard: list[tuple[int, int]] = []

    def hear(session_id: int, seq: int, **_rest: object) -> None:
        heard.append((session_id, seq))

    event_recorded.connect(hear)
    try:
        yield heard
    finally:
        event_recorded.disconnect(hear)
