"""What all tests of the live floor share."""

import logging

import pytest

DAMPENED = ("broadcast", "keeper", "doorman", "consumers.socket")


@pytest.fixture(autouse=True)
def nothing_was_logged_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first line of each kind through; after another test's the settings hold it back for a minute."""
    for name in DAMPENED:
        monkeypatch.setattr(logging.getLogger(f"sessions.live.{name}"), "filters", [])
