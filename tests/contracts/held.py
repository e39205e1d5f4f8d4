"""What must be true of the store after anything, whichever door it came through."""

from collections.abc import Iterable
from io import StringIO
from typing import Any

from django.core.management import call_command

from sessions import indexing, recounting
from sessions.models import Session
from tests.api.calling import Agent


def hold_together() -> None:
    """Hold all counters, sizes and the search index against the records, as an operator would; exits when one is off.

    What waits to be indexed is indexed before.
    """
    indexing.finish()
    for which in ({}, {"search": True}):
        call_command("rebuild", check=True, stdout=StringIO(), **which)


def counters_agree(sessions: Iterable[str]) -> None:
    for session in Session.objects.filter(uuid__in=list(sessions)):
        assert recounting.differences(session) == []


def log_of(agent: Agent, session: str) -> list[dict[str, Any]]:
    """Return all events of a session, read page after page."""
    return all_items(agent, f"sessions/{session}/events?limit=7")


def all_items(agent: Agent, path: str) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = agent.get(f"{path}&cursor={cursor}" if cursor else path)
        items += page["items"]
        cursor = page["next_cursor"]
    return items
