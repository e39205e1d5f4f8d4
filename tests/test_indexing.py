"""The index is right after every write."""

import pytest

from sessions import indexing
from sessions.models import SearchEntry, Unindexed
from tests.factories import make_message, make_session

pytestmark = pytest.mark.django_db


def test_smoke():
    session = make_session(title="Title here")
    make_message(session, content="Hello café world")
    assert indexing.catch_up() == 1
    assert SearchEntry.objects.count() == 2
    assert not Unindexed.objects.exists()
