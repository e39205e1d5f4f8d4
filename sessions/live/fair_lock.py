"""A lock that goes in turn."""

import threading
from collections import deque
from contextlib import AbstractContextManager


class FairLock(AbstractContextManager[None]):
    """A lock that is handed to who has waited longest.

    Python's own goes to whoever asks first when it is free, which mostly is a thread that has just given it back and
    asks again: who waits wakes up too late for it, time and again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_held = False
        self._gates: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """Return how many wait for it."""
        return len(self._gates)

    def __enter__(self) -> None:
        with self._lock:
            if not self._is_held:
                self._is_held = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
        gate.acquire()  # until the one before opens it

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            if self._gates:
                self._gates.popleft().release()
            else:
                self._is_held = False
