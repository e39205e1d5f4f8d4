"""manage.py createapikey."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sessions.models import ApiKey
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ada():
    return make_user("ada")


def create(*arguments: str) -> str:
    output = StringIO()
    call_command("createapikey", *arguments, stdout=output)
    return output.getvalue()


def test_plain_prints_the_key_alone_and_the_key_is_good(ada):
    plain = create("laptop", "--user", "ada", "--scope", "write", "--scope", "read", "--plain")

    key = ApiKey.objects.find(plain.strip())
    assert plain == plain.strip() + "\n"
    assert plain.startswith("koda_")
    assert key is not None
    assert (key.user, key.name, key.source, key.scopes) == (ada, "laptop", "laptop", {"write", "read"})
    assert key.expires_at is None


def test_the_key_is_shown_with_what_it_may(ada):
    text = create("laptop", "--user", "ada", "--scope", "control", "--source", "desk")

    plain = next(word for word in text.split() if word.startswith("koda_"))
    assert ApiKey.objects.find(plain) is not None
    assert "desk" in text
    assert "control" in text


def test_stakpak_gets_the_prefix_it_insists_on():
    plain = create("s", "--user", "ada", "--scope", "write", "--prefix", "stkpk_api", "--plain")

    assert plain.startswith("stkpk_api_")


def test_a_key_may_end(time_machine):
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    plain = create("s", "--user", "ada", "--scope", "read", "--expires", "7", "--plain").strip()

    assert ApiKey.objects.get().expires_at == timezone.now() + timedelta(days=7)
    time_machine.move_to("2026-03-22T09:26:51Z", tick=False)
    assert ApiKey.objects.find(plain) is None


def test_nothing_of_the_plain_key_is_kept():
    plain = create("s", "--user", "ada", "--scope", "read", "--plain").strip()

    row = ApiKey.objects.values().get()
    assert all(plain[5:-4] not in str(value) for value in row.values())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["s", "--user", "eve", "--scope", "read"], "no user called 'eve'"),
        (["s", "--user", "ada"], "--scope"),
        (["s", "--scope", "read"], "--user"),
        (["--user", "ada", "--scope", "read"], "NAME"),
        (["s", "--user", "ada", "--scope", "rule"], "invalid choice: 'rule'"),
        (["x" * 101, "--user", "ada", "--scope", "read"], "name"),
        (["s", "--user", "ada", "--scope", "read", "--source", "x" * 101], "source"),
        (["", "--user", "ada", "--scope", "read"], "name"),
        (["s", "--user", "ada", "--scope", "read", "--prefix", "my key"], "--prefix"),
        (["s", "--user", "ada", "--scope", "read", "--prefix", ""], "--prefix"),
        (["s", "--user", "ada", "--scope", "read", "--expires", "0"], "--expires"),
        (["s", "--user", "ada", "--scope", "read", "--expires", "soon"], "--expires"),
    ],
)
def test_what_cannot_be_is_said_and_no_key_is_made(arguments, complaint):
    with pytest.raises(CommandError, match=complaint):
        create(*arguments)

    assert not ApiKey.objects.exists()


def test_no_key_is_made_for_who_may_not_sign_in(ada):
    ada.is_active = False
    ada.save()

    with pytest.raises(CommandError, match="not active"):
        create("s", "--user", "ada", "--scope", "read")
