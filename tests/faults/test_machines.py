"""Several server processes on one PostgreSQL and one Redis, as on several machines."""

import json
import os
import ssl
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.conftest import Server, find_free_port, stop_server
from tests.databases import IS_SQLITE, own_database
from tests.faults.serving import look_through, serving, set_up
from tests.faults.writers import Writer
from tests.proxy import configure, needs_nginx, nginx

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


@needs_nginx
def test_behind_nginx_a_server_that_dies_costs_nobody_anything(tmp_path: Path, django_db_setup):
    """The shipped site in front of three servers: all is posted and watched through it, and one is killed."""
    https = find_free_port()
    url = f"https://localhost:{https}"
    with own_database() as database:
        settings = {"KODA_REDIS_URL": REDIS_URL, "KODA_PUBLIC_URL": url, "KODA_PROXY_COUNT": "1"}
        environment, key = set_up(tmp_path / "data", **database, **settings)
        with serving(tmp_path / "data", environment, count=3) as servers:
            main = configure(tmp_path, http=find_free_port(), https=https, upstreams=[one.port for one in servers])
            trusted = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
            with nginx(tmp_path, main, https), Writer([], key, proxy=(url, trusted)) as writer:
                watchers = [Watcher(url, trusted, key, writer.session) for _ in range(6)]
                writer.wait_until(20)
                for watcher in watchers:
                    watcher.wait_until(20)
                servers[0].process.kill()
                servers[0].process.wait()
                writer.write_more(60)
                writer.end()
                last = writer.client.get(f"{url}/api/v1/sessions/{writer.session}").json()["last_seq"]
                for watcher in watchers:
                    watcher.wait_until(last)
                    watcher.leave()
            for server in servers[1:]:
                stop_server(server)
        assert look_through(environment).messages == {writer.session: writer.told.acknowledged}, "each once, none lost"
    assert {answer.status_code for answer in writer.told.refused} <= {503}, "only what was under way broke off"
    assert len(writer.told.refused) <= 1
    assert sum(watcher.resumed for watcher in watchers) >= 1, "some were watching at the server that died"
    for watcher in watchers:
        assert watcher.seen == list(range(1, last + 1)), "each event once, in order, across the break"


class Watcher(threading.Thread):
    """A program that follows a session through the proxy, and comes back to where it was when it is cut off."""

    def __init__(self, url: str, trusted: ssl.SSLContext, key: str, session: str) -> None:
        super().__init__(daemon=True)
        self.place = f"{url.replace('https', 'wss')}/ws/api/v1/sessions/{session}/"
        self.facts = {"ssl": trusted, "additional_headers": {"Authorization": f"Bearer {key}"}, "proxy": None}
        self.seen: list[int] = []
        self.resumed = 0
        self._is_over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._is_over.is_set():
            try:
                with connect(f"{self.place}?after={self.seen[-1] if self.seen else 0}", **self.facts) as socket:
                    self._follow(socket)
            except (ConnectionClosed, InvalidStatus, OSError):
                self.resumed += 1

    def _follow(self, socket) -> None:
        while not self._is_over.is_set():
            try:
                frame = json.loads(socket.recv(0.1))
            except TimeoutError:
                continue
            if "seq" in frame:
                self.seen.append(frame["seq"])

    def wait_until(self, seq: int) -> None:
        """Wait until it has seen the event."""
        deadline = time.monotonic() + 30
        while not self.seen or self.seen[-1] < seq:
            assert time.monotonic() < deadline, (self.seen[-1:], seq)
            time.sleep(0.02)

    def leave(self) -> None:
        self._is_over.set()
        self.join(10)
