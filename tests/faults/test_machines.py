"""Several server processes on one PostgreSQL and one Redis, as on several machines."""

import json
import os
import time

import pytest
from websockets.sync.client import connect

from tests.conftest import Server, stop_server
from tests.databases import IS_SQLITE, own_database
from tests.faults.serving import look_through, serving, set_up
from tests.faults.writers import Writer

REDIS_URL = os.environ.get("KODA_REDIS_URL", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(IS_SQLITE or not REDIS_URL, reason="needs PostgreSQL and Redis"),
]

AT_ONCE_SECONDS = 5
"""Without Redis a server looks every 15 seconds, so this is soon enough to tell that the news came through it."""


def test_what_one_takes_another_shows_and_a_third_may_die(tmp_path, django_db_setup):
    with own_database() as database:
        environment, key = set_up(tmp_path, **database, KODA_REDIS_URL=REDIS_URL)
        with serving(tmp_path, environment, count=3) as [taking, showing, dying]:
            with Writer([taking], key) as writer, Writer([dying, taking], key) as moving:
                seen, last = _watch(showing, key, writer, moving, dying)
            assert (writer.told.refused, writer.told.broken_off) == ([], 0)
            assert moving.told.broken_off > 0
            assert seen == list(range(1, last + 1)), "each event once, in order, at the server that did not take it"
            for server in (taking, showing):
                stop_server(server)
        stored = look_through(environment).messages
    assert stored == {one.session: one.told.acknowledged for one in (writer, moving)}, "each once, none lost"


def _watch(showing: Server, key: str, writer: Writer, moving: Writer, dying: Server) -> tuple[list[int], int]:
    """Follow the writer's session while a server dies; return the seqs that were seen, and the last of the log."""
    place = f"{showing.url.replace('http', 'ws')}/ws/api/v1/sessions/{writer.session}/"
    with connect(place, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        assert json.loads(socket.recv(AT_ONCE_SECONDS))["type"] == "hello"
        seen = _follow(socket, until=20)
        moving.wait_until(20)
        dying.process.kill()
        dying.process.wait()
        moving.write_more(20)
        writer.write_more(20)
        writer.end()
        moving.end()
        last: int = writer.client.get(f"{showing.url}/api/v1/sessions/{writer.session}").json()["last_seq"]
        return seen + _follow(socket, until=last, after=seen[-1]), last


def _follow(socket, *, until: int, after: int = 0) -> list[int]:
    """Read seqs up to one; the news has to come at once."""
    seen: list[int] = []
    deadline = time.monotonic() + AT_ONCE_SECONDS + until / 20
    while (seen[-1] if seen else after) < until:
        frame = json.loads(socket.recv(max(0.0, deadline - time.monotonic())))
        seen += [frame["seq"]] if "seq" in frame else []
    return seen
