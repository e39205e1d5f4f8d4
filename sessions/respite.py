"""Leaving alone for a while what did not answer: each call would wait for it anew."""

import time


class Respite:
    """A while of so many seconds after a failure; one for each thing that may fail, for the whole process."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    @property
    def is_on(self) -> bool:
        """Say whether it failed lately."""
        return time.monotonic() < self._until

    def begin(self) -> None:
        """Note that it has failed."""
        self._until = time.monotonic() + self._seconds
