"""A client that does not read holds up its own socket, and costs no memory."""

import json
import socket
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_socket

from sessions.live.backpressure import LONGEST_OF_A_STRANGER
from tests.live.processes import PATIENCE, get, tiny

MEGABYTE = 1_000_000


@pytest.mark.parametrize(("count", "size"), [(100, MEGABYTE), (600, 60_000)])
def test_a_sender_is_held_back_until_the_client_reads(count, size):
    with tiny() as process:
        address = f"ws://127.0.0.1:{process.port}/"
        with connect_socket(address, proxy=None, max_size=None, max_queue=1, compression=None) as slow:
            slow.send(f"flood {count} {size}")
            process.wait_for("FLOOD 1 ")
            with connect_socket(f"{address}other", proxy=None) as other:
                other.send("hello")
                assert other.recv(timeout=PATIENCE) == "hello", "others are served meanwhile"
            held = [line for line in process.lines if line.startswith("FLOOD ")]
            assert len(held) < count * 0.6, "the kernel's buffers hold a few, the server's a part of one"
            deadline = time.monotonic() + PATIENCE
            for number in range(count):
                assert time.monotonic() < deadline
                message = slow.recv(timeout=PATIENCE)
                assert len(message) == size
                assert json.loads(message[:3]) == number % 100 + 100
        process.wait_for("SOCKET LEFT")


def test_a_client_that_goes_away_releases_the_sender():
    with tiny() as process:
        address = f"ws://127.0.0.1:{process.port}/"
        with connect_socket(address, proxy=None, max_queue=1, compression=None) as gone:
            gone.send(f"flood 100 {MEGABYTE}")
            process.wait_for("FLOOD 1 ")
            gone.socket.shutdown(socket.SHUT_RDWR)
            process.wait_for("SOCKET LEFT")


def test_of_a_client_no_more_is_read_than_the_application_takes():
    with tiny() as process:
        before = get(process.port, "/state").json()["memory"]
        with connect_socket(f"ws://127.0.0.1:{process.port}/slow", proxy=None, compression=None) as fast:
            sent = threading.Thread(target=_pour, args=(fast,))
            sent.start()
            for _ in range(POURED):
                assert int(fast.recv(timeout=PATIENCE)) == MEGABYTE
                memory = get(process.port, "/state").json()["memory"]
                assert memory < before + 30 * MEGABYTE, "the rest waits in the kernel, and at the client"
            sent.join(PATIENCE)
            fast.send("hello")
            assert fast.recv(timeout=PATIENCE) == "5", "nothing was lost, and it goes on"


POURED = 100


def _pour(client) -> None:
    text = "x" * MEGABYTE
    for _ in range(POURED):
        client.send(text)


@pytest.mark.parametrize("pieces", [1, 65], ids=["at once", "in pieces that have no end"])
def test_who_was_not_let_in_may_say_little(pieces):
    with tiny() as process, connect_socket(f"ws://127.0.0.1:{process.port}/stranger", proxy=None) as stranger:
        stranger.send("x" * LONGEST_OF_A_STRANGER)
        assert len(stranger.recv(timeout=PATIENCE)) == LONGEST_OF_A_STRANGER
        with pytest.raises(ConnectionClosed) as closed:
            _say(stranger, "x" * (LONGEST_OF_A_STRANGER + 1), pieces)
        assert closed.value.rcvd.code == MESSAGE_TOO_BIG


MESSAGE_TOO_BIG = 1009


def _say(client, text: str, pieces: int) -> None:
    """Send a text, in one frame or in several; then read what comes."""
    size = len(text) // pieces + 1
    client.send(text if pieces == 1 else iter([text[at : at + size] for at in range(0, len(text), size)]))
    client.recv(timeout=PATIENCE)
