"""Webhooks: what may be one, what changes, and the signature that receivers check."""

import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from sessions.exceptions import Conflict, InvalidRequest
from sessions.models import Webhook
from sessions.models.webhook import MOST_A_USER
from tests.factories import make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def register(url="https://example.org/hook", **facts) -> Webhook:
    return Webhook.objects.register(owner=facts.pop("owner", None) or make_user(), url=url, now=NOW, **facts)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org", "https://", "https:///path", "javascript:alert(1)", "file:///etc/passwd",
        "https://user:secret@example.org/", "https://user@example.org/", "https://example.org:99999/",
        "https://[::1", "http://exa mple.org/", "http://example.org/\n", "http://example.org\\@evil.example/",
        "https://example.org/" + "a" * 1000,
        "http://127.0.0.1/", "http://10.0.0.1:8080/", "http://[::1]/", "http://169.254.169.254/latest/", "http://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_what_may_not_be_called_is_refused(url):
    owner = make_user()
    with pytest.raises(InvalidRequest) as refused:
        register(url, owner=owner)
    assert refused.value.errors[0].field == "url"
    webhook = register(owner=owner)
    with pytest.raises(InvalidRequest):
        webhook.change(url=url)
    assert Webhook.objects.get().url == "https://example.org/hook"


def test_private_addresses_may_be_allowed(settings):
    settings.KODA_WEBHOOK_PRIVATE = True
    assert register("http://127.0.0.1:9/hook").host == "127.0.0.1:9"


def test_kinds_are_chosen_and_all_by_default():
    webhook = register()
    assert webhook.kinds == ["stuck", "lost", "needs"]
    webhook.change(kinds=["needs"], quiet_minutes=0)
    assert (webhook.kinds, webhook.quiet_minutes) == (["needs"], 0)


def test_a_quiet_time_is_not_negative_nor_endless():
    for minutes in (-1, 10**9):
        with pytest.raises(InvalidRequest):
            register(quiet_minutes=minutes)


def test_a_user_has_only_so_many():
    owner = make_user()
    for _ in range(MOST_A_USER):
        register(owner=owner)
    with pytest.raises(Conflict):
        register(owner=owner)


@pytest.mark.django_db(transaction=True)
def test_nor_has_a_user_more_by_adding_two_at_once():
    owner = make_user()
    for _ in range(MOST_A_USER - 1):
        register(owner=owner)

    def add() -> None:
        try:
            register(owner=owner)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        with transaction.atomic():
            register(owner=owner)
            second = thread.submit(add)
            wait([second], timeout=1)  # long enough for one that does not wait for us to have counted
        with pytest.raises(Conflict):
            second.result()
    assert Webhook.objects.count() == MOST_A_USER


def test_each_has_a_secret_of_its_own_that_can_be_replaced():
    first, second = register(), register()
    assert first.secret.startswith("whsec_")
    assert first.secret != second.secret
    before = first.secret
    first.renew_secret()
    assert Webhook.objects.get(pk=first.pk).secret == first.secret != before


def test_its_name_tells_nothing_of_the_path():
    assert str(register("https://hooks.example.org/services/SECRET")) == "hooks.example.org"


def test_the_signature_is_that_of_the_specification():
    webhook = register()
    key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b'id-1.1772366400.{"a":1}', hashlib.sha256).digest()).decode()
    assert webhook.sign("id-1", timestamp=1772366400, body=b'{"a":1}') == f"v1,{expected}"


def test_the_specifications_own_example_comes_out():
    """Of the Standard Webhooks specification's reference libraries."""
    webhook = Webhook(secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = webhook.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
