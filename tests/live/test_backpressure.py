"""A client that does not read holds up its own socket, and costs no memory."""

import json
import socket
import time

from websockets.sync.client import connect as connect_socket

from tests.live.processes import PATIENCE, tiny

MEGABYTE = 1_000_000


def test_a_sender_is_held_back_until_the_client_reads():
    with tiny() as process:
        address = f"ws://127.0.0.1:{process.port}/"
        with connect_socket(address, proxy=None, max_size=None, max_queue=1, compression=None) as slow:
            slow.send("flood 100")
            process.wait_for("FLOOD 1 ")
            with connect_socket(f"{address}other", proxy=None) as other:
                other.send("hello")
                assert other.recv(timeout=PATIENCE) == "hello", "others are served meanwhile"
            held = [line for line in process.lines if line.startswith("FLOOD ")]
            assert len(held) < 60, "the kernel's buffers hold a few, the server's a part of one"
            deadline = time.monotonic() + PATIENCE
            for number in range(100):
                assert time.monotonic() < deadline
                message = slow.recv(timeout=PATIENCE)
                assert len(message) == MEGABYTE
                assert json.loads(message[:3]) == number % 100 + 100
        process.wait_for("SOCKET LEFT")


def test_a_client_that_goes_away_releases_the_sender():
    with tiny() as process:
        address = f"ws://127.0.0.1:{process.port}/"
        with connect_socket(address, proxy=None, max_queue=1, compression=None) as gone:
            gone.send("flood 100")
            process.wait_for("FLOOD 1 ")
            gone.socket.shutdown(socket.SHUT_RDWR)
            process.wait_for("SOCKET LEFT")
