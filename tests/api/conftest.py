"""What the tests of the HTTP doors share."""

import pytest
from django.contrib.auth.models import User

from tests.api.calling import Agent, agent_of
from tests.factories import make_user


@pytest.fixture(autouse=True)
def _no_request_counted_before(own_counts: None) -> None:
    """Count requests for each test apart."""


@pytest.fixture
def owner(db: None) -> User:
    return make_user("ada")


@pytest.fixture
def agent(owner: User) -> Agent:
    """Speaks for ada's laptop, and may do everything that a key can."""
    return agent_of(owner)
