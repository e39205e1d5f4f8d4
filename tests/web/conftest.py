"""Readers of pages: signed in as the owner, as somebody else, as staff, as nobody."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_user


@pytest.fixture
def owner(db: None) -> User:
    return make_user("anna")


@pytest.fixture
def reader(owner: User) -> Client:
    return signed_in(owner)


def signed_in(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client
