"""A client that does not read holds up its own socket, and costs no memory."""

import json
import socket
import time

import pytest
from websockets.sync.client import connect as connect_socket

from tests.live.processes import PATIENCE, tiny

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
