"""Leases: a job has one holder at a time, and never none for longer than its span."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from sessions.models import Lease

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = 10


def take(owner: str, *, after: float = 0, name: str = "keeper") -> bool:
    return Lease.objects.take(name, owner=owner, seconds=SPAN, now=NOW + timedelta(seconds=after))


def test_the_first_to_ask_holds_it():
    assert take("a") is True
    lease = Lease.objects.get()
    assert (lease.owner, lease.until) == ("a", NOW + timedelta(seconds=SPAN))


def test_another_waits_until_the_span_is_over():
    take("a")
    assert take("b", after=SPAN - 0.001) is False
    assert take("b", after=SPAN) is True
    assert take("a", after=SPAN) is False


def test_the_holder_renews():
    take("a")
    assert take("a", after=5) is True
    assert take("b", after=SPAN) is False
    assert take("b", after=5 + SPAN) is True


def test_what_is_given_back_is_free_at_once():
    take("a")
    Lease.objects.give_back("keeper", owner="a", now=NOW + timedelta(seconds=1))
    assert take("b", after=1) is True


def test_only_the_holder_can_give_it_back():
    take("a")
    Lease.objects.give_back("keeper", owner="b", now=NOW)
    assert take("b", after=1) is False


def test_jobs_do_not_disturb_one_another():
    assert take("a") is True
    assert take("b", name="other") is True


def test_a_run_is_noted_and_a_new_holder_keeps_the_note():
    take("a")
    assert Lease.objects.get().ran_at is None
    Lease.objects.touch("keeper", now=NOW)
    take("b", after=SPAN)
    assert Lease.objects.get().ran_at == NOW


@pytest.mark.django_db(transaction=True)
def test_of_eight_that_ask_at_once_one_gets_it():
    def ask(number: int) -> bool:
        try:
            return take(f"owner {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1
