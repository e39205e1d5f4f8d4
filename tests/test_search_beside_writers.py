"""A search beside those who write: it waits a moment for its turn at the index, then answers with what is there."""

import time

import pytest
from django.db import OperationalError, connection, connections

from koda_web.sqlite import BUSY_SECONDS
from sessions import indexing, search
from sessions.models import Lease
from sessions.models.patience import patience
from sessions.models.search_index import hold
from tests.factories import make_message, make_session, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def writer():
    """Another connection that has the lock without which nobody can index."""
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if other.vendor == "sqlite" else "BEGIN")
        hold(other)
        yield cursor
    other.close()


def seconds_of_patience() -> float:
    """Return how long this connection waits for a lock."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout")
            return cursor.fetchone()[0] / 1000
        cursor.execute("SELECT extract(epoch FROM current_setting('lock_timeout')::interval)")
        return float(cursor.fetchone()[0])


def test_who_searches_while_somebody_writes_for_long_gets_an_older_answer_soon(request):
    ada = make_user()
    session = make_session(ada, title="Animals")
    make_message(session, content="zebra early")
    indexing.catch_up(seconds=10)
    make_message(session, content="zebra late")
    cursor = request.getfixturevalue("writer")
    began = time.monotonic()
    hits = search.search("zebra", user=ada)
    assert time.monotonic() - began < BUSY_SECONDS / 4
    assert (hits.count, hits.is_behind) == (1, True)
    cursor.execute("ROLLBACK")
    hits = search.search("zebra", user=ada)
    assert (hits.count, hits.is_behind) == (2, False)


def test_afterwards_a_connection_is_as_patient_as_before_whatever_came_of_it():
    assert seconds_of_patience() == BUSY_SECONDS
    with patience(0.25):
        assert seconds_of_patience() == 0.25
    assert seconds_of_patience() == BUSY_SECONDS
    with pytest.raises(OperationalError), patience(0.25):
        raise OperationalError
    assert seconds_of_patience() == BUSY_SECONDS
    assert not Lease.objects.exists()  # and it can be asked
