"""SQLite's write-ahead log: who writes it back, beside whom, and who sees that it was written to."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from sessions.live import wal
from sessions.live.fair_lock import FairLock
from sessions.models import Lease
from tests.live.log_file import size_of_log

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's log"),
]


def test_the_log_outlives_the_last_request_and_is_emptied_by_the_checkpoint():
    watch = wal.Watch()
    watch.has_changed()
    wal.checkpoint(at_least=1)
    Lease.objects.create(name="some", owner="me", until=timezone.now())
    connections.close_all()
    assert size_of_log() > 0
    wal.checkpoint()
    assert size_of_log() > 0  # not worth it
    wal.checkpoint(at_least=1)
    assert size_of_log() == 0
    watch.close()


def test_a_file_that_replaces_the_database_is_watched(tmp_path, monkeypatch):
    place = tmp_path / "koda.sqlite3"
    monkeypatch.setitem(connections.settings["default"], "NAME", str(place))
    watch = wal.Watch()
    try:
        assert watch.has_changed()
        assert not watch.has_changed()
        with closing(sqlite3.connect(tmp_path / "other")) as other:
            other.execute("PRAGMA journal_mode=WAL")
            (tmp_path / "other").replace(place)
            assert watch.has_changed()
            assert not watch.has_changed()
        with closing(sqlite3.connect(place)) as writer:
            writer.execute("CREATE TABLE written (later)")
        assert watch.has_changed()
    finally:
        watch.close()


def test_a_reader_does_not_keep_the_checkpoint_from_what_it_can_write():
    Lease.objects.create(name="some", owner="me", until=timezone.now())
    reader = connections.create_connection("default")
    with reader.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
        cursor.execute("SELECT count(*) FROM koda_sessions_lease")
        wal.checkpoint(at_least=1)
        assert size_of_log() > 0
        cursor.execute("COMMIT")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(NOOP)" if sqlite3.sqlite_version_info >= (3, 51) else "SELECT 0, 1, 1")
        _, in_log, written_back = cursor.fetchone()
    assert in_log == written_back > 0
    reader.close()


def test_writers_that_never_rest_do_not_keep_the_checkpoint_from_emptying_the_log():
    turn, stop = FairLock(), threading.Event()
    Lease.objects.create(name="some", owner="me", until=timezone.now())

    def write():
        while not stop.is_set():
            with turn, transaction.atomic():
                Lease.objects.filter(name="some").update(owner="x" * 10_000)
                Lease.objects.filter(name="some").update(owner="me")
        connection.close()

    watch = wal.Watch()  # or the log would go with a connection
    watch.has_changed()
    wal.checkpoint(at_least=1)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            while size_of_log() < 8 * wal.SMALL:
                time.sleep(0.001)
            before = size_of_log()
            wal.checkpoint(turn=turn)
            assert size_of_log() < before / 2
    finally:
        stop.set()
        writer.join()
        watch.close()
