"""Filters that people put on lists of sessions: the wall, the long list and the socket of both read them alike."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models

from sessions.models.watched import ADRIFT, Liveness, Needs, State

if TYPE_CHECKING:
    from sessions.models.session import Session  # noqa: F401  (named in a base class, as text)

Words = frozenset[tuple[str, str]]
"""The words of the filter bar (`FilterableQuerySet.filtered`), in a form that can be a key."""

_RUNNING = models.Q(state=State.RUNNING)


class StateFilter(models.TextChoices):
    """Words by which a list is narrowed to what its sessions are up to."""

    NEEDS = "needs", "Needs you"
    ADRIFT = "adrift", "Stuck or lost"
    STUCK = "stuck", "Stuck"
    LOST = "lost", "Lost"
    RUNNING = "running", "Running"
    QUIET = "quiet", "Quiet"
    FAILED = "failed", "Failed"
    RESTING = "resting", "Resting"


_STATES: dict[str, models.Q] = {
    StateFilter.NEEDS: ~models.Q(needs=Needs.NOTHING),
    StateFilter.ADRIFT: ADRIFT,
    StateFilter.STUCK: models.Q(liveness=Liveness.STUCK),
    StateFilter.LOST: models.Q(liveness=Liveness.LOST),
    StateFilter.RUNNING: _RUNNING & ~ADRIFT & models.Q(needs=Needs.NOTHING),
    StateFilter.QUIET: models.Q(liveness=Liveness.QUIET),
    StateFilter.FAILED: models.Q(state=State.ERROR),
    StateFilter.RESTING: models.Q(state=State.IDLE),
}


class FilterableQuerySet(models.QuerySet["Session"]):
    """Rows of sessions that take the filter bar's words."""

    def last_active(self, *, after: datetime | None = None, before: datetime | None = None) -> Self:
        """Narrow to those that were last active from `after` on and before `before`."""
        bounds = {"last_activity_at__gte": after, "last_activity_at__lt": before}
        return self.filter(**{name: at for name, at in bounds.items() if at is not None})

    def filtered(self, *, q: str = "", agent: str = "", project: str = "", source: str = "", state: str = "") -> Self:
        """Narrow by each word that is not empty; a `state` that is none of `StateFilter` finds nothing.

        `q` is part of the title, the key, the agent's name or the project's path; the others are whole values
        (`project` is the whole path).
        """
        rows = self
        if q:
            in_any = ("title", "key", "agent_name", "project_root")
            rows = rows.filter(models.Q(*((f"{name}__icontains", q) for name in in_any), _connector=models.Q.OR))
        exact = {"agent_name": agent, "project_root": project, "source": source}
        rows = rows.filter(**{name: value for name, value in exact.items() if value})
        return rows.in_state(state) if state else rows

    def in_state(self, state: str) -> Self:
        """Return those that are up to this, one of `StateFilter`; another word finds nothing."""
        return self.filter(_STATES[state]) if state in _STATES else self.none()
