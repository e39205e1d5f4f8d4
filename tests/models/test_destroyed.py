"""What is kept of sessions that were destroyed: enough to tell whoever shows them, for a while."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from sessions.models import Destroyed
from sessions.models.destroyed import KEPT_FOR
from tests.factories import make_session

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_session_leaves_its_number_and_who_could_see_it_and_so_does_what_is_below_it():
    session = make_session(title="secret")
    child = make_session(session.owner, parent=session, visibility="PUBLIC")
    make_session()
    kept = {(one.pk, one.uuid, one.owner_id, one.visibility, "ACTIVE", one.last_seq + 1) for one in (session, child)}
    session.destroy(now=NOW)
    fields = ("number", "uuid", "owner_number", "visibility", "status", "seq")
    assert set(Destroyed.objects.values_list(*fields)) == kept
    assert set(Destroyed.objects.values_list("at", flat=True)) == {NOW}


def test_a_destruction_that_is_taken_back_leaves_nothing():
    session = make_session()
    with transaction.atomic():
        session.destroy()
        transaction.set_rollback(True)
    assert not Destroyed.objects.exists()


def test_it_is_forgotten_after_a_while():
    sessions = [make_session() for _ in range(2)]
    for session, days in zip(sessions, (1, 0), strict=True):
        session.destroy(now=NOW - timedelta(days=days))
    assert Destroyed.objects.drop_old(now=NOW + KEPT_FOR) == 1
    assert [one.at for one in Destroyed.objects.all()] == [NOW]
