"""On SQLite the transactions of a server begin in the order in which they were asked for, and none keeps its turn."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, connections, transaction
from django.utils import timezone

from sessions.live.fair_lock import FairLock
from sessions.models import Lease
from sessions.models.patience import patience
from tests.live.test_fair_lock import PATIENCE_SECONDS, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has many writers"),
]


@pytest.fixture
def turn() -> Iterator[FairLock]:
    """The turn of this process, for the time of a test."""
    before, mine = connection.turn, FairLock()
    connection.take_turns(mine)
    yield mine
    connection.take_turns(before)
    assert is_free(mine)


def is_free(turn: FairLock) -> bool:
    """Say whether another thread could have it at once."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: turn.acquire(timeout=0.01) and (turn.release() or True)).result(PATIENCE_SECONDS)


def write(name: str) -> None:
    """Commit a row from a thread that has no connection afterwards."""
    try:
        with transaction.atomic():
            Lease.objects.create(name=name, owner="me", until=timezone.now())
    finally:
        connection.close()


def test_transactions_begin_in_the_order_in_which_they_were_asked_for(turn):
    names = [f"lease {number}" for number in range(4)]
    with ThreadPoolExecutor(max_workers=len(names)) as threads:
        waiting = []
        with transaction.atomic():
            for count, name in enumerate(names, start=1):
                waiting.append(threads.submit(write, name))
                wait_until(turn, waiting=count)
        for one in waiting:
            one.result(PATIENCE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM koda_sessions_lease ORDER BY rowid")
        assert [name for (name,) in cursor.fetchall()] == names


def test_who_asks_beside_a_writer_that_never_rests_comes_next(turn):
    stop, commits = threading.Event(), []

    def never_rest() -> None:
        while not stop.is_set():
            with transaction.atomic():
                Lease.objects.filter(name="busy").update(ran_at=timezone.now())
            commits.append(1)
        connection.close()

    Lease.objects.create(name="busy", owner="me", until=timezone.now())
    with ThreadPoolExecutor(max_workers=1) as thread:
        busy = thread.submit(never_rest)
        try:
            for number in range(20):
                commits.clear()
                wait_for(lambda: bool(commits))
                before = len(commits)
                with transaction.atomic():
                    assert len(commits) - before <= 2
                    Lease.objects.create(name=f"asks {number}", owner="me", until=timezone.now())
        finally:
            stop.set()
        busy.result(PATIENCE_SECONDS)


def wait_for(condition: Callable[[], bool]) -> None:
    """Give another thread time until this holds."""
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 1000):
        if condition():
            return
        pause.wait(0.001)
    pytest.fail("it never held")


def commit() -> None:
    with transaction.atomic():
        Lease.objects.create(name="stored", owner="me", until=timezone.now())


def nest() -> None:
    with transaction.atomic():
        with suppress(IntegrityError), transaction.atomic():
            Lease.objects.create(name="nested", owner="me", until=None)
        assert Lease.objects.count() == 0


def fail() -> None:
    with suppress(ZeroDivisionError), transaction.atomic():
        Lease.objects.create(name="lost", owner="me", until=timezone.now())
        _ = 1 / 0


def fail_to_commit() -> None:
    with suppress(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO koda_sessions_eventalias (session_id, event_id, seq) VALUES (999999, 'a', 1)")


def close() -> None:
    with suppress(DatabaseError), transaction.atomic():
        connection.close()


def fail_to_begin() -> None:
    with closing(connections.create_connection("default")) as other, other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), patience(0.01), transaction.atomic():
            pytest.fail("another process has the lock")
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize("act", [commit, nest, fail, fail_to_commit, close, fail_to_begin])
def test_however_a_transaction_ends_its_turn_is_given_back(turn, act):
    act()
    assert is_free(turn)
    with transaction.atomic():
        assert not is_free(turn)


def test_who_waits_in_vain_for_a_turn_is_told_as_by_sqlite_and_has_nothing(turn):
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with turn:
            held.set()
            release.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(max_workers=1) as thread:
        holding = thread.submit(hold)
        assert held.wait(PATIENCE_SECONDS)
        with pytest.raises(OperationalError, match="database is locked"), patience(0.01), transaction.atomic():
            pytest.fail("it is not ours")
        assert turn.waiting == 0
        release.set()
        holding.result(PATIENCE_SECONDS)
    commit()


class Slow:
    """A turn that is had when half of the patience is over."""

    def acquire(self, *, timeout: float) -> bool:
        threading.Event().wait(timeout / 2)
        return True

    def release(self) -> None:
        """Nobody else wants it."""


def test_what_the_turn_cost_of_the_patience_the_lock_does_not_get_again(monkeypatch):
    monkeypatch.setattr(connection, "turn", Slow())
    said: list[str] = []
    with patience(0.5):
        connection.ensure_connection()
        connection.connection.set_trace_callback(said.append)
        with transaction.atomic():
            connection.connection.set_trace_callback(None)
    less, begin, whole = said
    assert int(less.removeprefix("PRAGMA busy_timeout = ")) <= 250
    assert begin.startswith("BEGIN")
    assert whole == "PRAGMA busy_timeout = 500"
    connection.close()
