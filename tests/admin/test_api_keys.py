"""Keys: issued once, shown once, revoked at once."""

import re

import pytest
from django.contrib.admin.models import LogEntry

from sessions.models import ApiKey
from tests.factories import make_key, make_user

pytestmark = pytest.mark.django_db
KEYS = "/admin/koda_sessions/apikey/"


def add(client, for_user, **facts):
    form = {"user": for_user.pk, "name": "laptop", "source": "", "expires_at_0": "", "expires_at_1": "", **facts}
    return client.post(f"{KEYS}add/", form, follow=True)


def test_a_new_key_is_shown_once_and_works(staff):
    user = make_user()
    answer = add(staff, user, can_write="on", can_read="on")
    plain = re.search(r"kept nowhere: (koda_[\w-]+)", answer.content.decode())[1]
    key = ApiKey.objects.find(plain)
    assert (key.user, key.name, key.source, key.scopes) == (user, "laptop", "laptop", {"write", "read"})
    assert plain not in staff.get(KEYS).content.decode()
    assert plain not in staff.get(f"{KEYS}{key.pk}/change/").content.decode()
    assert plain not in "".join(LogEntry.objects.values_list("change_message", flat=True))


def test_the_form_proposes_whoever_asks(staff):
    answer = staff.get(f"{KEYS}add/")
    assert f'value="{answer.context["user"].pk}"' in answer.content.decode()


def test_source_and_end_are_taken_over(staff):
    add(staff, make_user(), source="the cellar", can_control="on", expires_at_0="2099-01-02", expires_at_1="03:04")
    key = ApiKey.objects.get()
    assert key.source == "the cellar"
    assert key.expires_at.year == 2099
    assert key.scopes == {"control"}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "A key needs at least one scope."),
        ({"can_read": "on", "name": "字" * 40}, "must have at most 100 bytes"),
        ({"can_read": "on", "source": "字" * 40}, "must have at most 100 bytes"),
        ({"can_read": "on", "name": ""}, "This field is required."),
        ({"can_read": "on", "name": "a\x00b"}, "Null characters are not allowed."),
        ({"can_read": "on", "user": "999999"}, "Select a valid choice"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_none_is_made(staff, facts, said):
    answer = add(staff, make_user(), **facts)
    assert said in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_the_digest_is_never_shown(staff):
    key = make_key().record
    for path in (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/history/"):
        assert key.digest not in staff.get(path).content.decode()
    assert "digest" not in staff.get(f"{KEYS}add/").content.decode()


def test_the_digest_cannot_be_guessed_by_filtering(staff):
    key = make_key().record
    for lookup in ("digest", "digest__startswith"):
        assert staff.get(KEYS, {lookup: key.digest[:4]}).status_code == 400


def test_revoked_keys_open_nothing(staff):
    kept, lost = make_key(), make_key()
    answer = staff.post(KEYS, {"action": "revoke", "_selected_action": [lost.record.pk]}, follow=True)
    assert "1 revoked, 0 had been revoked before." in answer.content.decode()
    assert ApiKey.objects.find(lost.plain) is None
    assert ApiKey.objects.find(kept.plain) == kept.record


def test_staff_without_permission_neither_issue_nor_revoke(looker):
    key = make_key()
    assert add(looker, make_user(), can_read="on").status_code == 403
    looker.post(KEYS, {"action": "revoke", "_selected_action": [key.record.pk]})
    assert ApiKey.objects.find(key.plain) == key.record
    assert ApiKey.objects.count() == 1


def test_keys_are_found_by_name_source_and_user(staff):
    wanted = make_key(user=make_user("ada"), source="cellar").record
    make_key(user=make_user("bob"))
    for term in (wanted.name, "cell", "ada"):
        page = staff.get(KEYS, {"q": term}).content.decode()
        assert re.findall(r"/apikey/(\d+)/change/", page) == [str(wanted.pk)]
