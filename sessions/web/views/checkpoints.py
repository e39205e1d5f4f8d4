"""The checkpoints of a session: the tree, what changed between any two, and a fork from one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import messages as toasts
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from sessions import pool
from sessions.checkpoints import AGENT
from sessions.comparing import compare
from sessions.exceptions import NotFound
from sessions.forks import fork as fork_from
from sessions.models import Checkpoint, Session, who
from sessions.web.places import LARGEST, number
from sessions.web.requests import PageRequest, with_changeable_session, with_readable_session
from sessions.web.tabs import CHECKPOINTS, TABS
from sessions.web.views.session import page

MOST_CHANGES = 200
"""Changes that one page shows."""


@require_GET
@with_readable_session
def checkpoints(request: PageRequest, session: Session) -> HttpResponse:
    """Show the tab of the tree, the newest first; with `?from=` and `?to=` what changed between these two."""
    tab, now = TABS[CHECKPOINTS], timezone.now()
    before, after = number(request, "from"), number(request, "to")
    if before is None or after is None:
        return page(request, session, tab, template=tab.template, now=now, **tab.show(request, session, now))
    with _gone_is_not_found():
        compared = _compared(_find(session, before), _find(session, after))
    return page(request, session, tab, template="sessions/session_changes.html", now=now, **compared)


def _compared(before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    """Return what changed from one checkpoint to the other."""
    found = compare(pool.read(before), pool.read(after), rest=(before.rest, after.rest))
    return {
        "before": before, "after": after, "comparison": found, "changes": found.messages[:MOST_CHANGES],
        "left_out": max(0, len(found.messages) - MOST_CHANGES), "can_resume": after.session.agent_name == AGENT,
        "counts": [(kind, found.count(kind)) for kind in ("added", "removed", "changed")],
    }  # fmt: skip


@require_POST
@with_changeable_session
def fork(request: PageRequest, session: Session, seq: int) -> HttpResponseRedirect:
    """Begin a new session from a checkpoint and show it."""
    with _gone_is_not_found():
        made = fork_from(_find(session, seq), by=who(request.user))
    toasts.info(request, f"Forked from checkpoint {seq}. Resume it in the agent to go on.")
    return redirect("web:session", uuid=made.uuid)


@contextmanager
def _gone_is_not_found() -> Iterator[None]:
    """Answer as if there had been no such checkpoint when a purge takes one that has just been found."""
    try:
        yield
    except NotFound as gone:
        raise Http404(gone.detail) from None


def _find(session: Session, seq: int | None) -> Checkpoint:
    """Return a checkpoint of the session by its number."""
    found = (
        Checkpoint.objects.filter(session=session, seq=min(seq or 0, LARGEST)).select_related("session__owner").first()
    )
    if found is None:
        raise Http404("There is no such checkpoint.")
    return found
