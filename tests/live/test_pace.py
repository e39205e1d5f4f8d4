"""Slow clients: who sends or takes a byte now and then is cut after its time, who goes on is not."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from tests.live.processes import connect, get, head, read, send, tiny

MIB = 1024 * 1024
SECONDS = 1
"""KODA_CLIENT_SECONDS of these servers."""
PATIENCE = 15
"""Seconds after which a connection that still stands is one that nobody cuts."""


def dribble(connection: socket.socket, piece: bytes, *, every: float = 0.1) -> float:
    """Send `piece` again and again until the server ends the connection; return how many seconds it stood."""
    began = time.monotonic()
    connection.settimeout(every)
    while time.monotonic() < began + PATIENCE:
        try:
            connection.sendall(piece)
            if connection.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


DRIBBLES = {
    "a first line": (b"", b"G"),
    "a header": (b"GET /size HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"x"),
    "many headers": (b"GET /size HTTP/1.1\r\nHost: localhost\r\n", b"X-Slow: x\r\n"),
    "a body": (head("POST", "/size", Content_Length="100000"), b"x"),
    "chunks": (head("POST", "/size", Transfer_Encoding="chunked"), b"1\r\nx\r\n"),
    "the second half of a body": (head("POST", "/size", Content_Length="1000000") + b"x" * 500_000, b"x"),
}
"""What is sent at first, and what then comes byte by byte."""


def test_who_sends_a_byte_now_and_then_is_cut():
    with tiny(client_seconds=SECONDS) as server, ThreadPoolExecutor(len(DRIBBLES)) as at_once:
        stood = {}
        for name, (begun, piece) in DRIBBLES.items():
            connection = connect(server.port)
            connection.sendall(begun)
            stood[name] = at_once.submit(dribble, connection, piece)
        assert [name for name, one in stood.items() if one.result() >= PATIENCE] == []
        assert get(server.port, "/state").json()["spooled"] == 0


def test_who_is_slow_and_goes_on_is_served():
    size, pieces = 600_000, 30
    with tiny(client_seconds=SECONDS) as server:
        connection = connect(server.port)
        connection.sendall(head("POST", "/size", Content_Length=str(size)))
        began = time.monotonic()
        for _ in range(pieces):
            connection.sendall(b"x" * (size // pieces))
            time.sleep(0.1)
        assert time.monotonic() > began + 2 * SECONDS, "it took longer than the time of one who stands still"
        assert read(connection).body == str(size).encode()


def test_what_held_other_bodies_out_is_given_free():
    limit = 200_000
    with tiny(client_seconds=SECONDS, max_body=limit) as server:
        held = [connect(server.port) for _ in range(8)]
        for connection in held:
            connection.sendall(head("POST", "/size", Content_Length=str(limit)) + b"x" * (limit - 1))
        for connection in held:
            assert connection.recv(1) == b"", "cut without an answer"
        assert read(send(server.port, "/size", method="POST", body=b"x" * limit)).body == str(limit).encode()


def test_who_takes_nothing_of_an_answer_is_cut_and_who_takes_it_slowly_is_not():
    with tiny(client_seconds=SECONDS) as server:
        idle, slow = connect(server.port), connect(server.port)
        for connection in (idle, slow):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            connection.sendall(head("GET", "/big"))
        taken = 0
        while taken < 8 * MIB:
            piece = slow.recv(256 * 1024)
            assert piece, "the connection was cut"
            taken += len(piece)
            time.sleep(0.05)
        idle.settimeout(PATIENCE)
        got = 0
        with contextlib.suppress(ConnectionError):
            while piece := idle.recv(MIB):
                got += len(piece)
        assert got < 8 * MIB, "what waited for a client that took nothing is no longer held"
