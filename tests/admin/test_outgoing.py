"""Webhooks and deliveries: staff see where calls go and how they fare, never the secret; they may switch one off."""

import pytest
from django.utils import timezone

from sessions.models import Delivery, Webhook
from tests.factories import make_user

pytestmark = pytest.mark.django_db
WEBHOOKS, DELIVERIES = "/admin/koda_sessions/webhook/", "/admin/koda_sessions/delivery/"


@pytest.fixture
def hook() -> Webhook:
    return Webhook.objects.register(owner=make_user("ada"), url="https://hooks.example.org/services/hidden-part")


@pytest.fixture
def delivery(hook) -> Delivery:
    delivery = hook.try_out(now=timezone.now())
    delivery.claim(now=timezone.now())
    delivery.note_failure("it answered 500", status=500, now=timezone.now())
    return delivery


def test_staff_see_host_and_owner_and_neither_secret_nor_path(staff, hook, delivery):
    for path in (WEBHOOKS, f"{WEBHOOKS}{hook.pk}/change/", DELIVERIES, f"{DELIVERIES}{delivery.pk}/change/"):
        page = staff.get(path).content.decode()
        assert "hooks.example.org" in page
        assert "hidden-part" not in page
        assert hook.secret not in page


@pytest.mark.parametrize("word", ["url__contains", "secret__startswith"])
def test_what_is_hidden_is_not_found_out_by_narrowing(staff, hook, word):
    assert staff.get(f"{WEBHOOKS}?{word}=w").status_code == 400


def test_a_delivery_says_how_it_fared(staff, delivery):
    page = staff.get(f"{DELIVERIES}{delivery.pk}/change/").content.decode()
    assert "it answered 500" in page
    assert ">500<" in page


def test_deliveries_are_narrowed_to_what_waits_and_what_was_given_up(staff, hook, delivery):
    for query, is_there in (
        ("next_attempt_at__isempty=0", True),
        ("next_attempt_at__isempty=1", False),
        ("given_up_at__isempty=0", False),
    ):
        page = staff.get(f"{DELIVERIES}?{query}").content.decode()
        assert (f"{DELIVERIES}{delivery.pk}/change/" in page) is is_there, query


def test_webhooks_are_found_by_number_and_owner(staff, hook):
    for term in (str(hook.pk), "ada"):
        assert "hooks.example.org" in staff.get(f"{WEBHOOKS}?q={term}").content.decode()
    assert "hooks.example.org" not in staff.get(f"{WEBHOOKS}?q=grace").content.decode()


def test_a_webhook_is_switched_off_and_what_waits_for_it_is_given_up(staff, hook, delivery):
    staff.post(WEBHOOKS, {"action": "switch_off", "_selected_action": [hook.pk]}, follow=True)
    hook.refresh_from_db()
    delivery.refresh_from_db()
    assert not hook.is_enabled
    assert delivery.given_up_at is not None


def test_staff_who_may_only_look_switch_nothing_off(looker, hook):
    looker.post(WEBHOOKS, {"action": "switch_off", "_selected_action": [hook.pk]})
    hook.refresh_from_db()
    assert hook.is_enabled
