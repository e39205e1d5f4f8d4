"""The server merges the pieces of SQLite's full-text table when nothing waits to be indexed, and only then."""

import pytest
from django.db import OperationalError, connection, connections

from sessions import indexing, search
from sessions.live.tending import Tending
from sessions.models import Unindexed
from sessions.models.search_index import FULL_TEXT, merge
from tests.factories import make_message, make_session, make_user

pytestmark = pytest.mark.django_db(transaction=True)
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="pieces of SQLite's full-text table")

MESSAGES = 20


def pieces() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(DISTINCT segid) FROM {FULL_TEXT}_idx")
        return cursor.fetchone()[0]


@pytest.fixture
def ada():
    return make_user("ada", is_staff=True)


@pytest.fixture
def session(ada):
    """A session whose messages were indexed one by one, each in a piece of its own."""
    made = make_session(ada, title="Animals")
    for number in range(MESSAGES):
        make_message(made, content=f"zebra number{number}")
        indexing.catch_up(seconds=10)
    return made


@on_sqlite
def test_batches_leave_their_pieces_and_a_quiet_moment_merges_them(session, ada):
    assert pieces() >= MESSAGES
    Tending().tend()
    assert pieces() < 4
    assert merge(connection) is False  # nothing is left to do
    found = search.search("zebra", user=ada, limit=100).items
    assert len(found) == MESSAGES
    assert [hit.message_id for hit in search.search("number7", user=ada, limit=100).items] == [found[-8].message_id]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {FULL_TEXT}({FULL_TEXT}, rank) VALUES ('integrity-check', 1)")


@on_sqlite
def test_what_waits_goes_before_any_merging(session):
    before = pieces()
    make_message(session, content="late")
    tending = Tending()
    tending.tend()
    assert not Unindexed.objects.exists()
    assert pieces() == before + 1
    tending.tend()
    assert pieces() < 4


@on_sqlite
def test_once_all_is_merged_a_look_writes_nothing_until_something_came(session):
    tending = Tending()
    while pieces() > 3:
        tending.tend()
    tending.tend()
    changes = connection.connection.total_changes
    tending.tend()
    assert connection.connection.total_changes == changes
    make_message(session, content="late")
    tending.tend()
    tending.tend()
    assert merge(connection) is False


class Turn:
    """Counts how often a transaction took it."""

    taken = 0

    def acquire(self, *, timeout: float) -> bool:
        assert timeout > 0
        self.taken += 1
        return True

    def release(self) -> None:
        pass


@on_sqlite
def test_each_step_of_merging_is_a_transaction_with_a_turn_of_its_own(session):
    before, turn = connection.turn, Turn()
    connection.take_turns(turn)
    try:
        tending = Tending()
        for _ in range(MESSAGES):  # each for a quarter of a second at most
            tending.tend()
    finally:
        connection.take_turns(before)
    assert turn.taken >= 2  # a step that merged, and one that found nothing more
    assert pieces() < 4


@on_sqlite
def test_merging_that_fails_waits_for_the_next_batch(session):
    other = connections.create_connection("default")
    tending = Tending()
    before = pieces()
    with connection.cursor() as cursor, other.cursor() as holding:
        cursor.execute("PRAGMA busy_timeout = 1")
        holding.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            tending.tend()
        tending.tend()  # nothing is tried, and nothing is logged twice a second
        holding.execute("ROLLBACK")
    other.close()
    connection.close()  # with its short patience
    tending.tend()
    assert pieces() == before
    make_message(session, content="late")
    tending.tend()
    tending.tend()
    assert pieces() < 4


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL has one piece")
def test_postgresql_has_nothing_to_merge(session):
    assert merge(connection) is False
    Tending().tend()
    assert not Unindexed.objects.exists()
