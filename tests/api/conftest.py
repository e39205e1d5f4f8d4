"""What the tests of the HTTP doors share."""

import uuid

import pytest
from django.contrib.auth.models import User

from tests.api.calling import Agent, agent_of
from tests.factories import make_user


@pytest.fixture(autouse=True)
def _no_request_counted_before(settings) -> None:
    """Count in a corner of the cache that nobody else uses: other processes may share the cache itself."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": f"test-{uuid.uuid4()}"}}


@pytest.fixture
def owner(db: None) -> User:
    return make_user("ada")


@pytest.fixture
def agent(owner: User) -> Agent:
    """Speaks for ada's laptop, and may do everything that a key can."""
    return agent_of(owner)
