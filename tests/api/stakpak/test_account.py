"""What the agent asks for before it starts."""

import pytest

from tests.api.stakpak import rust

pytestmark = pytest.mark.django_db


def test_the_account_has_every_field_as_text(storage, owner):
    account = storage.send("GET", "/account", read=rust.ACCOUNT)

    assert account == {
        "username": "ada", "id": str(owner.pk), "first_name": "", "last_name": "", "email": "", "scope": None,
    }  # fmt: skip


def test_there_are_no_rule_books(storage):
    assert storage.send("GET", "/rules", read=rust.RULES) == {"results": []}


def test_the_backend_is_what_the_client_itself_would_say(storage):
    told = storage.send("GET", "/backend-info", read=lambda value, _at: value)

    assert told == {"kind": "stakpak-api", "endpoint": "http://testserver"}
