"""What the tests of the HTTP doors share."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from tests.api.calling import Agent, agent_of
from tests.factories import make_user


@pytest.fixture(autouse=True)
def _no_request_counted_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def owner(db: None) -> User:
    return make_user("ada")


@pytest.fixture
def agent(owner: User) -> Agent:
    """Speaks for ada's laptop, and may do everything that a key can."""
    return agent_of(owner)
