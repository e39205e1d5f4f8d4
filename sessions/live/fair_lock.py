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
        self._owner: int | None = None
        self._gates: deque[tuple[int, threading.Lock]] = deque()

    @property
    def waiting(self) -> int:
        """Return how many wait for it."""
        return len(self._gates)

    def acquire(self, *, timeout: float = -1) -> bool:
        """Wait for it, by default for as long as it takes; say whether it was had within `timeout` seconds."""
        thread = threading.get_ident()
        with self._lock:
            if self._owner is None:
                self._owner = thread
                return True
            gate = threading.Lock()
            gate.acquire()
            self._gates.append((thread, gate))
        if gate.acquire(timeout=timeout):  # the one before opens it, and makes this thread the owner
            return True
        with self._lock:
            if (thread, gate) not in self._gates:
                return True  # it was opened in the last moment
            self._gates.remove((thread, gate))
            return False

    def release(self) -> None:
        """Give it back; then it goes to the next."""
        with self._lock:
            assert self._owner == threading.get_ident(), "it is somebody else's"
            self._owner = None
            if self._gates:
                self._owner, gate = self._gates.popleft()
                gate.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_error: object) -> None:
        self.release()
