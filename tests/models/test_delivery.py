"""Deliveries: when they are tried again, when they are given up, and what can never be stored."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from sessions.models import Delivery, Webhook
from sessions.models.delivery import GIVEN_UP_AFTER, KEPT_FOR, LONGEST_WAIT, wait_after
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def delivery(db) -> Delivery:
    return Webhook.objects.register(owner=make_user(), url="https://example.org/hook").try_out(now=T0)


def test_waits_double_up_to_an_hour_and_half_of_each_is_chance():
    for attempts, longest in [(1, 10), (2, 20), (3, 40), (9, 2560), (10, 3600), (1000, 3600)]:
        waits = [wait_after(attempts).total_seconds() for _ in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
        assert len(set(waits)) > 10


def test_a_receiver_that_never_answers_is_tried_for_a_day_and_given_up(delivery):
    now, tried = T0, 0
    while delivery.next_attempt_at is not None:
        assert delivery.next_attempt_at - now <= LONGEST_WAIT
        now = delivery.next_attempt_at
        assert delivery.claim(now=now)
        delivery.note_failure("no answer within 5 seconds", status=None, now=now)
        delivery.refresh_from_db()
        tried += 1
    assert GIVEN_UP_AFTER <= now - T0 <= GIVEN_UP_AFTER + LONGEST_WAIT
    assert 30 <= tried <= 70
    assert (delivery.given_up_at, delivery.attempts, delivery.last_error) == (now, tried, "no answer within 5 seconds")


def test_what_failed_before_the_clock_was_set_back_is_not_late_by_the_jump(delivery):
    delivery.claim(now=T0)
    delivery.note_failure("no answer", status=None, now=T0)
    assert not Delivery.objects.due(T0).exists()
    [due] = Delivery.objects.due(T0 - timedelta(hours=3))
    assert due.claim(now=T0 - timedelta(hours=3))
    assert not Delivery.objects.due(T0 - timedelta(hours=3)).exists()


def test_what_waits_for_the_end_of_a_quiet_time_was_never_tried_and_goes_on_waiting(delivery):
    Delivery.objects.update(due_at=T0 + timedelta(hours=9), next_attempt_at=T0 + timedelta(hours=9))
    assert not Delivery.objects.due(T0).exists()


def test_a_receiver_that_is_gone_for_good_is_not_tried_again(delivery):
    delivery.claim(now=T0)
    delivery.note_failure("the receiver answered 410", status=410, now=T0)
    delivery.refresh_from_db()
    assert (delivery.given_up_at, delivery.last_status) == (T0, 410)


def test_what_was_told_is_told_even_when_its_claim_had_run_out(delivery):
    late = Delivery.objects.get()
    late.claim(now=T0)
    second = Delivery.objects.get()
    assert second.claim(now=T0 + timedelta(minutes=2))
    late.note_told(204, now=T0 + timedelta(minutes=2))
    second.note_failure("no answer", status=None, now=T0 + timedelta(minutes=2))
    delivery.refresh_from_db()
    assert delivery.delivered_at is not None
    assert (delivery.next_attempt_at, delivery.last_error) == (None, "")


def test_old_records_are_dropped_and_nothing_that_waits():
    webhook = Webhook.objects.register(owner=make_user(), url="https://example.org/hook")
    told, waits, young = (webhook.try_out(now=T0 + timedelta(days=days)) for days in (0, 0, 10))
    told.note_told(204, now=T0)
    young.note_told(204, now=T0)
    assert Delivery.objects.drop_old(now=T0 + KEPT_FOR + timedelta(seconds=1)) == 1
    assert set(Delivery.objects.values_list("pk", flat=True)) == {waits.pk, young.pk}


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("delivery_kind", {"kind": "bored"}),
        ("delivery_waits_or_is_over", {"next_attempt_at": None}),
        ("delivery_waits_or_is_over", {"delivered_at": T0}),
        ("delivery_waits_or_is_over", {"given_up_at": T0}),
        ("delivery_waits_or_is_over", {"next_attempt_at": None, "delivered_at": T0, "given_up_at": T0}),
    ],
)
def test_a_row_that_cannot_be_is_refused(delivery, name, facts):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(**facts)


def test_an_event_is_told_once_a_webhook(delivery):
    session = make_session()
    facts = {"webhook": delivery.webhook, "session": session, "seq": 1, "kind": "lost", "due_at": T0}
    Delivery.objects.create(next_attempt_at=T0, **facts)
    match = "UNIQUE constraint failed" if connection.vendor == "sqlite" else "delivery_once"
    with pytest.raises(IntegrityError, match=match), transaction.atomic():
        Delivery.objects.create(next_attempt_at=T0, **facts)
    Delivery.objects.create(next_attempt_at=T0, **{**facts, "seq": 2})
