"""Crowding: who has as many sockets as they may, and comes again, is turned away without a look at the database.

A program that opens sockets in a loop, or a browser of which a hundred tabs come back at once, is looked up once in a
while instead of each time, so that its crowd keeps nobody else waiting.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from sessions.live.asgi_types import Scope

REMEMBERED_SECONDS = 15.0
"""How long it is believed whose credentials these are; for as long a key that has ended is told 4429, not 4401."""
_REMEMBERED = 1_000
_CREDENTIALS = frozenset({b"authorization", b"cookie"})


class Crowding:
    """Whose credentials were turned away a moment ago."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._names: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def note(self, scope: Scope, name: str, *, kind: str) -> None:
        """Remember by what name the sender of these headers is counted; who shows nothing there cannot be told."""
        if (shown := _digest(scope, kind)) is None:
            return
        self._names[shown] = (self._clock(), name)
        self._names.move_to_end(shown)
        while len(self._names) > _REMEMBERED:
            self._names.popitem(last=False)

    def name_of(self, scope: Scope, *, kind: str) -> str | None:
        """Return by what name they are counted, when that was seen a moment ago."""
        if not self._names or (shown := _digest(scope, kind)) is None:
            return None
        at, name = self._names.get(shown, (float("-inf"), None))
        return name if self._clock() - at < REMEMBERED_SECONDS else None


def _digest(scope: Scope, kind: str) -> bytes | None:
    """Return what stands for the credentials, which are not kept themselves."""
    shown = [value for name, value in scope["headers"] if name.lower() in _CREDENTIALS]
    return hashlib.sha256(b"\0".join([kind.encode(), *shown])).digest() if shown else None
