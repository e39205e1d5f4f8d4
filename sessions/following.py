"""Following the log: what is kept beside the records of each session is made anew soon after these changed.

It is done out of the writers' transactions. What one session has is read first, and written while the mark is held:
only when nobody else has taken the mark on meanwhile, so that the older of two readings never stays.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import IntegrityError, transaction

from sessions.exceptions import Unavailable
from sessions.models import Session
from sessions.models.batching import batched
from sessions.models.log_mark import LogMark

SESSIONS_AT_ONCE = 200
"""Sessions of one transaction at most."""
TRIES = 20
"""As often others may come before, or a session go, until whoever has to do it gives up."""
_WAIT_SECONDS = 0.01

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class _Step:
    """What one look led to: of how many sessions something was kept, and whether nothing else was there then."""

    count: int
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower(Generic[Row]):
    """Who keeps something: `read` makes the rows of some sessions, `write` keeps them in a transaction that is held.

    `is_due` says that there is something to write although nothing changed.
    """

    name: str
    marks: type[LogMark]
    read: Callable[[Sequence[int]], list[Row]]
    write: Callable[[list[Row]], None]
    is_due: Callable[[], bool] = lambda: False

    def catch_up(self, *, seconds: float) -> int:
        """Keep what has changed by now, or as much as `seconds` allow; return of how many sessions.

        What comes meanwhile is for the next time: beside somebody who writes without a pause this would never end.
        Two at once do no harm.
        """
        end = time.monotonic() + seconds
        done = refused = 0
        while (mark := self._begun()) is not None:
            if mark.is_waiting:
                if time.monotonic() >= end:
                    break
                time.sleep(_WAIT_SECONDS)
                continue
            step = self._step(mark)
            refused = 0 if step.count else refused + 1
            done += step.count
            if step.is_last or time.monotonic() >= end or refused >= TRIES:
                break
        return done

    def keep_again(self, ids: Sequence[int]) -> None:
        """Keep what these sessions have although nothing told of a change. Raises `Unavailable`, or what refuses."""
        for piece in batched(ids, SESSIONS_AT_ONCE):
            for _ in range(TRIES):
                mark = self._mark()
                if mark is None or self._keep(piece, mark):
                    break
            else:
                raise Unavailable(f"Others change the {self.name} all the time: {TRIES} times one came before.")

    def _begun(self) -> LogMark | None:
        """Return the mark, made when nothing was kept yet; None when there is nothing to keep."""
        mark = self._mark()
        if mark is None and Session.objects.exists():
            self.marks.begin()
            mark = self._mark()
        return mark

    def _mark(self) -> LogMark | None:
        return self.marks._default_manager.first()  # noqa: SLF001 - Django's own

    def _step(self, mark: LogMark) -> "_Step":
        """Keep what one look finds."""
        ahead = mark.look()
        born = Session.objects.filter(pk__gt=mark.last_session).order_by("pk")
        new = list(born.values_list("pk", flat=True)[:SESSIONS_AT_ONCE])
        if ahead is None and not new and not self.is_due():
            return _Step(0, is_last=True)
        changed = ahead.sessions if ahead else set()
        pieces = list(batched(sorted(changed.union(new)), SESSIONS_AT_ONCE)) or [[]]
        done = 0
        for number, ids in enumerate(pieces, 1):
            if number == len(pieces):  # An interruption before it lets all be looked at again.
                mark.take_on(ahead, last_session=max(new, default=0))
            if not self._keep(ids, mark):
                return _Step(done, is_last=False)
            done += len(ids)
        is_cut = len(new) == SESSIONS_AT_ONCE or (ahead is not None and ahead.is_cut)
        return _Step(done, is_last=not is_cut and not self.is_due())

    def _keep(self, ids: Sequence[int], mark: LogMark) -> bool:
        """Write what these sessions have now, and the mark; say whether it was done: not when somebody came before."""
        held = mark.revision
        for tries_left in reversed(range(TRIES)):
            rows = self.read(ids)
            try:
                with transaction.atomic():
                    if not mark.is_held():
                        return False
                    self.write(rows)
                    mark.number(held + 1)
                    mark.save()
            except IntegrityError:  # One was destroyed meanwhile.
                mark.number(held)
                if not tries_left:
                    raise
            else:
                return True
        return False
