"""Redis goes away and comes back: nothing is refused and nothing lost; what others show comes later meanwhile."""

import json
import shutil
import subprocess
import time

import httpx
import pytest
import redis
from websockets.sync.client import connect

from tests.conftest import Server, find_free_port, stop_server
from tests.databases import own_database
from tests.faults.serving import look_through, serving, set_up
from tests.faults.writers import Writer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server to start and kill"),
]

AT_ONCE_SECONDS = 5
LATER_SECONDS = 30
"""Without hints a server looks into the log every 15 seconds."""


def start_redis(port: int) -> subprocess.Popen[bytes]:
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with redis.Redis(port=port) as client:
        _wait_for(lambda: _answers(client), seconds=LATER_SECONDS)
    return process


def test_servers_go_on_without_redis_and_hear_each_other_again_with_it(tmp_path, django_db_setup):
    port = find_free_port()
    process = start_redis(port)
    try:
        with own_database() as database:
            environment, key = set_up(tmp_path, **database, KODA_REDIS_URL=f"redis://127.0.0.1:{port}/0")
            environment["KODA_RATE_LIMIT"] = "100000"  # counted in Redis; where it is gone, requests pass uncounted
            with serving(tmp_path, environment, count=2) as [taking, showing]:
                writer = Writer([taking], key)
                session = f"{showing.url.replace('http', 'ws')}/ws/api/v1/sessions/{writer.session}/"
                with connect(session, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
                    writer.append("with")
                    assert _seqs(socket, until=2, seconds=AT_ONCE_SECONDS) == [1, 2]

                    process.kill()
                    process.wait()
                    writer.append("without")
                    health = _health(taking)
                    assert _seqs(socket, until=3, seconds=LATER_SECONDS) == [3]

                    process = start_redis(port)
                    _wait_for(lambda: _health(showing).status_code == 200, seconds=LATER_SECONDS)
                    _wait_until_heard(writer, socket)
                writer.client.close()
                assert (health.status_code, health.json()["checks"]["channel_layer"]) == (503, {"ok": False})
                assert writer.told.refused == []
                for server in (taking, showing):
                    stop_server(server)
            assert look_through(environment).messages == {writer.session: writer.told.acknowledged}
    finally:
        process.kill()
        process.wait()


def _wait_until_heard(writer: Writer, socket) -> None:
    """Write until an event comes at once again, each in order."""
    for number in range(20):
        writer.append(f"again {number}")
        began = time.monotonic()
        assert _seqs(socket, until=4 + number, seconds=LATER_SECONDS) == [4 + number]
        if time.monotonic() - began < AT_ONCE_SECONDS / 5:
            return
    pytest.fail("they do not hear each other")


def _seqs(socket, *, until: int, seconds: float) -> list[int]:
    seen: list[int] = []
    deadline = time.monotonic() + seconds
    while not seen or seen[-1] < until:
        frame = json.loads(socket.recv(max(0.0, deadline - time.monotonic())))
        seen += [frame["seq"]] if "seq" in frame else []
    return seen


def _health(server: Server) -> httpx.Response:
    return httpx.get(f"{server.url}/healthz", timeout=30, trust_env=False)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _wait_for(is_so, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.05)
