"""The time in which no server listened: excused to every session, if need be later.

A session whose row somebody holds just then is not waited for, or one forgotten transaction would keep the server from
listening. What it is owed is kept with the lease under which servers note that they listen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sessions.models import Lease, Needs, Session, ToolCall
from sessions.models.among import Among
from sessions.models.session_rows import SessionQuerySet

LISTENING = "listening"
"""The lease in which every server notes that it can hear agents; nobody holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A silence of the server that ended at `until`, and the sessions to which it is still to be excused."""

    silence: timedelta
    until: datetime
    sessions: list[int]

    @classmethod
    def kept(cls, written: dict[str, Any]) -> "Owed":
        """Return what the lease keeps."""
        until = datetime.fromisoformat(written["until"])
        return cls(silence=timedelta(seconds=written["seconds"]), until=until, sessions=written["sessions"])

    def to_keep(self) -> dict[str, Any]:
        """Return it as the lease keeps it."""
        seconds = self.silence.total_seconds()
        return {"seconds": seconds, "until": self.until.isoformat(), "sessions": self.sessions}


def owed_in(listening: Lease) -> list[Owed]:
    """Return what this lease says is still to be excused."""
    return [Owed.kept(written) for written in listening.left_over or []]


def excuse(silence: timedelta, *, until: datetime, default_interval: timedelta) -> int:
    """Excuse a silence to all sessions that have a deadline; return to how many. The caller has a transaction."""
    rows = Session.objects.filter(next_deadline_at__isnull=False)
    count, left = _excuse_in(rows, silence, until=until, default_interval=default_interval)
    if left:
        listening = Lease.objects.at_present(LISTENING)
        owed = [*(owed_in(listening) if listening else []), Owed(silence=silence, until=until, sessions=left)]
        _keep(owed)
    return count


def excuse_what_is_owed(*, default_interval: timedelta) -> None:
    """Excuse what could not be excused before. The caller has a transaction, and the lease is locked in it."""
    listening = Lease.objects.at_present(LISTENING)
    owed = owed_in(listening) if listening else []
    if not owed:
        return
    still: list[Owed] = []
    for one in owed:
        rows = Session.objects.filter(Among("pk", one.sessions), next_deadline_at__isnull=False)
        _, left = _excuse_in(rows, one.silence, until=one.until, default_interval=default_interval)
        if left:
            still.append(Owed(silence=one.silence, until=one.until, sessions=left))
    if still != owed:
        _keep(still)


def _excuse_in(
    rows: SessionQuerySet, silence: timedelta, *, until: datetime, default_interval: timedelta
) -> tuple[int, list[int]]:
    """Excuse a silence to those of these sessions that are free; return how many, and the others."""
    there = set(rows.order_by().values_list("pk", flat=True))
    free = rows.lock_free()
    count = _among(free).excuse(silence, until=until, default_interval=default_interval)
    not_waiting = list(_among(free).filter(needs=Needs.NOTHING).values_list("pk", flat=True))
    ToolCall.objects.move_budgets(not_waiting, silence + default_interval, until=until)
    return count, sorted(there.difference(free))


def _among(pks: Iterable[int]) -> SessionQuerySet:
    return Session.objects.filter(Among("pk", pks))


def _keep(owed: Iterable[Owed]) -> None:
    Lease.objects.leave(LISTENING, [one.to_keep() for one in owed])
