"""The store fails: locked, full, gone. Who writes gets 503 and comes again; nothing is lost, and it mends itself."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from django.db import connection

from sessions.models import Message
from tests.api.calling import agent_of
from tests.conftest import Server, prepare, stop_server
from tests.databases import IS_SQLITE, own_database
from tests.factories import make_session, make_user
from tests.faults.serving import ask, look_through, serving, set_up
from tests.faults.small_disks import needs_small_disks, small_cluster
from tests.faults.writers import Writer

MENDS_WITHIN_SECONDS = 15


@contextmanager
def locked_by_another() -> Iterator[None]:
    """Hold what every write needs, in another connection; our own waits only a moment for it."""
    if IS_SQLITE:
        other = connection.Database.connect(connection.settings_dict["NAME"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        hurry, calm = "PRAGMA busy_timeout=50", "PRAGMA busy_timeout=20000"
    else:
        known = connection.settings_dict
        other = psycopg.connect(dbname=known["NAME"], host=known["HOST"], port=known["PORT"], user=known["USER"])
        other.execute("LOCK TABLE koda_sessions_session IN ACCESS EXCLUSIVE MODE")
        hurry, calm = "SET lock_timeout = '50ms'", "RESET lock_timeout"
    with connection.cursor() as cursor:
        cursor.execute(hurry)
        try:
            yield
        finally:
            other.rollback() if not IS_SQLITE else other.execute("ROLLBACK")
            other.close()
            cursor.execute(calm)


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_is_not_let_go_is_503_and_the_same_request_succeeds_later():
    owner = make_user()
    session, agent = make_session(owner), agent_of(owner)
    path, body = f"sessions/{session.uuid}/messages", {"role": "user", "content": "once", "client_id": "1"}
    agent.call("GET", "sessions")  # notes the use of the key, which is a write too
    with locked_by_another():
        refused = agent.call("POST", path, body)
    assert (refused.status, refused["code"]) == (503, "unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert not Message.objects.exists()
    assert agent.call("POST", path, body).status == 201
    assert Message.objects.count() == 1


@pytest.mark.skipif(IS_SQLITE, reason="SQLite has its busy timeout")
@pytest.mark.django_db(transaction=True)
def test_no_request_waits_for_a_lock_without_an_end():
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("20s",)


@contextmanager
def no_room(server: Server) -> Iterator[None]:
    """Let no file of the server's grow, as on a full disk; not even its log."""
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.skipif(not IS_SQLITE, reason="PostgreSQL's disk is another")
def test_a_full_disk_is_503_until_there_is_room(tmp_path: Path):
    environment, key = set_up(tmp_path)
    with serving(tmp_path, environment) as [server]:
        with Writer([server], key) as writer:
            writer.wait_until(10)
            with no_room(server):
                _wait_for(lambda: len(writer.told.refused) >= 5)
                taken = len(writer.told.acknowledged)
                assert len(writer.stored()) in {taken, taken + 1}, "what is there can be read"
                assert len(writer.told.acknowledged) == taken
            writer.write_more(10)
            writer.end()
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in writer.told.refused)
        assert all(answer.json()["code"] == "unavailable" for answer in writer.told.refused)
        stop_server(server)
    assert look_through(environment).messages == {writer.session: writer.told.acknowledged}


@pytest.mark.slow
@needs_small_disks
@pytest.mark.parametrize("disk", ["data", "wal"])
def test_a_full_disk_of_postgresql_is_503_until_there_is_room(disk: str, tmp_path: Path):
    """Where its log finds no room PostgreSQL ends, and has to be started again; the server does not."""
    with small_cluster() as cluster:
        environment = prepare(tmp_path, KODA_DATABASE_URL=cluster.url)
        key = ask(environment, _KEY).strip()
        with serving(tmp_path, environment) as [server]:
            with Writer([server], key) as writer:
                writer.wait_until(10)
                with cluster.full(disk):
                    _wait_for(lambda: len(writer.told.refused) >= 3)
                    taken = len(writer.told.acknowledged)
                    page = _get(server, "/", cookies={"koda_session": "x" * 32})
                    if disk == "data":
                        assert page.is_redirect, "nobody is signed in, which had to be read"
                        assert len(writer.stored()) in {taken, taken + 1}, "what is there can be read"
                    else:
                        assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
                        assert "The database does not answer" in page.text
                    assert len(writer.told.acknowledged) == taken
                began = time.monotonic()
                writer.write_more(1)
                assert time.monotonic() - began < MENDS_WITHIN_SECONDS
                writer.write_more(10)
                writer.end()
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in writer.told.refused)
            assert all(answer.json()["code"] == "unavailable" for answer in writer.told.refused)
            _wait_for(lambda: _get(server, "/healthz").status_code == 200)
            stop_server(server)
        assert look_through(environment).messages == {writer.session: writer.told.acknowledged}
        server.manage("rebuild", "--check")


@contextmanager
def gone(environment: dict[str, str], data_dir: Path) -> Iterator[None]:
    """Take the database away from a running server, and give it back."""
    if IS_SQLITE:
        aside = data_dir.with_name("aside")
        data_dir.rename(aside)
        try:
            yield
        finally:
            aside.rename(data_dir)
        return
    url, _, name = environment["KODA_DATABASE_URL"].rpartition("/")
    with psycopg.connect(f"{url}/postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.mark.slow
def test_a_database_that_goes_away_is_503_for_agents_and_people_and_comes_back_by_itself(tmp_path, django_db_setup):
    data_dir = tmp_path / "data"
    with own_database() as database:
        environment = prepare(data_dir, **database)
        key = ask(environment, _KEY).strip()
        with serving(data_dir, environment) as [server]:
            with Writer([server], key) as writer:
                writer.wait_until(10)
                with gone(environment, data_dir):
                    _wait_for(lambda: len(writer.told.refused) >= 3)
                    page = _get(server, "/", cookies={"koda_session": "x" * 32})
                    health = _get(server, "/healthz")
                began = time.monotonic()
                writer.write_more(1)
                assert time.monotonic() - began < MENDS_WITHIN_SECONDS
                writer.write_more(10)
                writer.end()
            assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
            assert "The database does not answer" in page.text
            assert health.status_code == 503
            assert health.json()["checks"]["database"] == {"ok": False}
            _wait_for(lambda: _get(server, "/healthz").status_code == 200)
            assert _get(server, "/sign-in/").status_code == 200
            stop_server(server)
        assert look_through(environment).messages == {writer.session: writer.told.acknowledged}


_KEY = """
from django.contrib.auth.models import User
from sessions.models import ApiKey
print(ApiKey.objects.issue(user=User.objects.get(), name="laptop", scopes=["write", "read"]).plain)
"""


def _get(server: Server, path: str, **options) -> httpx.Response:
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False, **options) as client:
        return client.get(path)


def _wait_for(is_so) -> None:
    deadline = time.monotonic() + MENDS_WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.02)
