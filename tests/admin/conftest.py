"""Somebody at the admin's door."""

import pytest
from django.test import Client

from tests.factories import make_user


@pytest.fixture
def staff(db) -> Client:
    """A browser of a superuser."""
    return sign_in(make_user(is_staff=True, is_superuser=True))


@pytest.fixture
def looker(db) -> Client:
    """A browser of staff without a single permission of Django's."""
    return sign_in(make_user(is_staff=True))


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client
