"""A line to a server that can be cut: what a laptop's lid, a train's tunnel or a restart on the other side does."""

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.conftest import find_free_port

_CHUNK = 65_536


class Tunnel:
    """Carries TCP from a port of its own to `target` on this machine until it is cut."""

    def __init__(self, target: int) -> None:
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._target = target
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        self._entrance = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what is open, and refuse what comes."""
        self._is_cut = True
        for end in list(self._ends):
            _close(end)

    def mend(self) -> None:
        """Carry again what comes from now on."""
        self._is_cut = False

    def close(self) -> None:
        """Break everything, for good."""
        self.cut()
        _close(self._entrance)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._entrance.accept()
                if self._is_cut:
                    _close(near)
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends |= {near, far}
                for source, sink, passes in ((near, far, lambda _: True), (far, near, self.passes)):
                    threading.Thread(target=self._carry, args=(source, sink, passes), daemon=True).start()

    def passes(self, data: bytes) -> bool:  # noqa: ARG002 - for others to decide
        """Say whether what the far end said is to be carried on."""
        return True

    def _carry(self, source: socket.socket, sink: socket.socket, passes: Callable[[bytes], bool]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if passes(data):
                    sink.sendall(data)
        for end in (source, sink):
            _close(end)
            self._ends.discard(end)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
