"""API keys: kept as keyed digests, found while they are valid, used at most once a minute on paper."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions.exceptions import InvalidRequest
from sessions.models import ApiKey
from tests.factories import make_key, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_plain_key_is_stored_nowhere():
    new = make_key()
    row = ApiKey.objects.values().get(pk=new.record.pk)
    secret = new.plain.removeprefix("koda_")
    assert len(secret) >= 43
    assert not [name for name, value in row.items() if secret in str(value)]
    assert row["hint"] == f"koda_…{new.plain[-4:]}"
    assert new.plain not in str(new.record)


def test_the_digest_is_keyed_with_the_servers_secret(settings):
    new = make_key()
    assert new.record.digest != hashlib.sha256(new.plain.encode()).hexdigest()
    assert ApiKey.objects.find(new.plain) == new.record
    settings.SECRET_KEY = "another secret of another server"
    assert ApiKey.objects.find(new.plain) is None


def test_no_two_keys_are_alike():
    user = make_user()
    assert len({make_key(user).plain for _ in range(50)}) == 50


def test_a_key_is_found_with_its_user_in_one_query(django_assert_num_queries):
    new = make_key()
    with django_assert_num_queries(1):
        assert ApiKey.objects.find(new.plain).user.username == new.record.user.username


@pytest.mark.parametrize("plain", ["", "koda_", "koda_nobody", "x" * 10_000, "\x00", "\ud800", "é字"])
def test_anything_else_finds_nothing(plain):
    make_key()
    assert ApiKey.objects.find(plain) is None


def test_a_key_with_one_letter_changed_finds_nothing():
    plain = make_key().plain
    assert ApiKey.objects.find(plain[:-1] + ("a" if plain[-1] != "a" else "b")) is None
    assert ApiKey.objects.find(plain.upper()) is None
    assert ApiKey.objects.find(f" {plain}") is None


@pytest.mark.parametrize(("seconds", "is_found"), [(-1, True), (0, False), (1, False)])
def test_a_key_ends_exactly_at_its_time(seconds, is_found):
    new = make_key(expires_at=NOW)
    found = ApiKey.objects.find(new.plain, now=NOW + timedelta(seconds=seconds))
    assert (found == new.record) is is_found


def test_a_revoked_key_finds_nothing_and_revoking_again_says_so():
    new = make_key()
    assert new.record.revoke(now=NOW) is True
    assert new.record.revoke(now=NOW + timedelta(days=1)) is False
    assert ApiKey.objects.find(new.plain) is None
    assert ApiKey.objects.get().revoked_at == NOW


def test_the_key_of_an_inactive_user_finds_nothing():
    user = make_user()
    new = make_key(user)
    user.is_active = False
    user.save()
    assert ApiKey.objects.find(new.plain) is None


@pytest.mark.parametrize("scopes", [(), ("write",), ("read",), ("control",), ("write", "read", "control")])
def test_each_scope_stands_on_its_own(scopes):
    assert make_key(scopes=scopes).record.scopes == set(scopes)


def test_without_a_source_the_name_is_the_source():
    key = make_key().record
    assert key.source == key.name
    assert make_key(source="cellar").record.source == "cellar"


def test_a_prefix_can_be_chosen():
    new = make_key(prefix="stkpk_api")
    assert new.plain.startswith("stkpk_api_")
    assert ApiKey.objects.find(new.plain) == new.record


@pytest.mark.parametrize("broken", [{"name": "a\x00"}, {"name": "x" * 101}, {"source": "\ud800"}, {"source": "é" * 51}])
def test_names_that_cannot_be_are_refused(broken):
    with pytest.raises(InvalidRequest):
        ApiKey.objects.issue(**{"user": make_user(), "name": "n", "scopes": ["read"], **broken})
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("later", "is_written"), [(timedelta(0), False), (timedelta(seconds=59.999), False), (timedelta(seconds=60), True)]
)
def test_use_is_noted_at_most_once_a_minute(later, is_written):
    key = make_key().record
    key.note_use(NOW)
    found = ApiKey.objects.get()
    with CaptureQueriesContext(connection) as captured:
        found.note_use(NOW + later)
    assert bool(len(captured)) is is_written
    assert ApiKey.objects.get().last_used_at == (NOW + later if is_written else NOW)


def test_the_use_of_many_keys_is_noted_in_one_query():
    owner = make_user()
    used, unused = [make_key(owner).record for _ in range(4)], make_key(owner).record
    used[0].note_use(NOW)
    with CaptureQueriesContext(connection) as captured:
        ApiKey.objects.note_uses([*used, ApiKey.objects.get(pk=used[0].pk)], NOW + timedelta(seconds=30))
    assert len(captured) == 2, "one to find a key again, and one to note"
    noted = dict(ApiKey.objects.values_list("pk", "last_used_at"))
    assert noted == {
        used[0].pk: NOW,
        **dict.fromkeys((key.pk for key in used[1:]), NOW + timedelta(seconds=30)),
        unused.pk: None,
    }


def test_use_is_noted_after_the_clock_was_set_back():
    key = make_key().record
    key.note_use(NOW)
    ApiKey.objects.get().note_use(NOW - timedelta(hours=3))
    assert ApiKey.objects.get().last_used_at == NOW - timedelta(hours=3)


def test_noting_use_leaves_a_revocation_alone():
    key = make_key().record
    stale = ApiKey.objects.get()
    key.revoke(now=NOW)
    stale.note_use(NOW)
    assert ApiKey.objects.get().revoked_at == NOW
