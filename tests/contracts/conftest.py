"""What the tests of the contracts share."""

import pytest


@pytest.fixture
def settings_of_rates(settings):
    """Count no requests: hundreds a second are what these tests are for."""
    settings.KODA_RATE_LIMIT = None
