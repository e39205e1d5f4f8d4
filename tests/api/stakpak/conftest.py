"""What the tests of Stakpak's door share."""

import pytest
from django.contrib.auth.models import User

from tests.api.stakpak.calling import Storage, storage_of


@pytest.fixture
def storage(owner: User) -> Storage:
    """Speaks for ada."""
    return storage_of(owner)
