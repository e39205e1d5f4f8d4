"""Purging by a rule: batch after batch, each in a transaction of its own, until nothing is due."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, connection, models, transaction
from django.utils import timezone

from sessions.exceptions import NotFound
from sessions.models import Message, Receipt, Session
from sessions.models.search_index import hold
from sessions.retention import rows
from sessions.retention.previewing import going
from sessions.retention.rows import Tally
from sessions.retention.rules import Policy, Rule
from sessions.retention.store import stored_bytes

_WORK_SECONDS = 0.05
"""How long a purge works before it rests as long: on SQLite a waiting writer looks up only now and then."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a purge did.

    `session_ids` are of the sessions that it destroyed or shortened; `kept` were due, and stayed for one below them.
    A `receipt` is kept when anything was destroyed. A purge that was told to stop `is_complete` no more than one that
    failed; to run it again goes on.
    """

    counts: dict[str, int]
    size: int
    session_ids: list[int]
    kept: int
    is_complete: bool
    receipt: Receipt


def purge(
    rule: Rule,
    *,
    by: str,
    now: datetime | None = None,
    tell: Tell = lambda _done, _all: None,
    is_told_to_stop: Callable[[], bool] = lambda: False,
    previewed: int | None = None,
) -> Purged:
    """Destroy for good what the rule says.

    `by` says who asked. `tell` gets how many sessions are done, and of how many. Any number may run at once: what one
    has destroyed is not there for the other. `previewed` is the count that the asker has seen and confirmed.
    """
    now = now or timezone.now()
    run = _Run(rule=rule, by=by, now=now, is_told_to_stop=is_told_to_stop)
    receipt = Receipt.objects.begin(rule.policy, rule.words, rule.criteria(), owner=rule.asker, by=by, now=now)
    receipt.previewed, receipt.bytes_before = previewed, stored_bytes()
    try:
        is_complete = run.go(tell)
    except BaseException:
        with suppress(DatabaseError):
            _keep(receipt, run, is_complete=False)
        raise
    _keep(receipt, run, is_complete=is_complete)
    return Purged(
        counts=dict(run.tally.counts),
        size=run.tally.size,
        session_ids=run.touched,
        kept=run.kept,
        is_complete=is_complete,
        receipt=receipt,
    )


def _keep(receipt: Receipt, run: "_Run", *, is_complete: bool) -> None:
    """Write the receipt, when there is anything to tell."""
    if run.tally.counts:
        receipt.complete(
            counts=dict(run.tally.counts), size=run.tally.size, session_count=len(run.touched),
            is_complete=is_complete, bytes_after=stored_bytes(), now=timezone.now(),
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Run:
    """One purge on its way."""

    rule: Rule
    by: str
    now: datetime
    is_told_to_stop: Callable[[], bool]
    tally: Tally = field(default_factory=Tally)
    touched: list[int] = field(default_factory=list)
    kept: int = 0
    _worked: float = 0.0
    _answers_gone_of: int | None = None

    def go(self, tell: Tell) -> bool:
        """Do all sessions that are due; say whether none was left out."""
        act, ids = self._work()
        for done, pk in enumerate(ids):
            tell(done, len(ids))
            if self.is_told_to_stop() or not self._repeat(act, pk):
                return False
        tell(len(ids), len(ids))
        return True

    def _work(self) -> tuple[Callable[[int], bool], list[int]]:
        """Return what to do to one session until it says that it is done, and the sessions."""
        if self.rule.policy is Policy.COMPACTED:
            rows_due: models.QuerySet[Message] = self.rule.due_messages(self.now)
            return self._compacted, list(rows_due.order_by("session").values_list("session", flat=True).distinct())
        if self.rule.policy is Policy.EVENTS:
            events = self.rule.due_events(self.now).order_by("session")
            return self._events, list(events.values_list("session", flat=True).distinct())
        planned = going(self.rule, now=self.now)
        self.kept = len(planned.staying)
        return self._whole, planned.going

    def _repeat(self, act: Callable[[int], bool], pk: int) -> bool:
        """Do batches of one session until it is done; False when told to stop before."""
        rows_before = self.tally.counts.total()
        while True:
            with self._batch():
                try:
                    is_more = act(pk)
                except NotFound:  # Somebody else has destroyed it.
                    is_more = False
            if not is_more or self.is_told_to_stop():
                break
        if self.tally.counts.total() > rows_before:
            self.touched.append(pk)
        return not is_more

    @contextmanager
    def _batch(self) -> Iterator[None]:
        """Work in a transaction that no indexing runs beside, and rest after it."""
        began = time.monotonic()
        counts, size = self.tally.counts.copy(), self.tally.size
        try:
            with transaction.atomic():
                hold(connection)
                yield
        except BaseException:
            self.tally.counts, self.tally.size = counts, size  # It has been undone.
            raise
        self._worked += time.monotonic() - began
        if self._worked >= _WORK_SECONDS and not connection.in_atomic_block:
            time.sleep(min(self._worked, 4 * _WORK_SECONDS))
            self._worked = 0.0

    # --- One batch of one session ----------------------------------------------------------------------------

    def _compacted(self, pk: int) -> bool:
        """Destroy archived messages, after all that the log says of them."""
        session = Session.objects.locked(pk)
        due = self.rule.due_messages(self.now).filter(session=session)
        newest = due.order_by("-id").values_list("pk", flat=True).first()
        if newest is None:
            return False
        self._forget_answers(session)
        if rows.forget_log(session, self.tally, up_to=rows.border_of(session, newest), by=self.by, now=self.now):
            return True
        ids = list(due.order_by("id").values_list("pk", flat=True)[: rows.MESSAGES_AT_ONCE])
        rows.drop_messages(session, ids, self.tally, by=self.by, now=self.now)
        return due.exists()

    def _events(self, pk: int) -> bool:
        """Destroy what the agent told before."""
        session = Session.objects.locked(pk)
        due = self.rule.due_events(self.now).filter(session=session)
        newest = due.order_by("-seq").values_list("seq", flat=True).first()
        if newest is None:
            return False
        self._forget_answers(session)
        return rows.forget_log(session, self.tally, up_to=newest, by=self.by, now=self.now)

    def _forget_answers(self, session: Session) -> None:
        """Destroy kept answers with the first batch of a session; to look for them reads all there are."""
        if session.pk != self._answers_gone_of:
            rows.forget_answers(session, self.tally, now=self.now)
            self._answers_gone_of = session.pk

    def _whole(self, pk: int) -> bool:
        """Destroy a session, a large one piece by piece, unless it has come to life or another stands below it."""
        session = Session.objects.locked_to_destroy(pk)
        if session.children.exists() or not self._is_still_due(session):
            return False
        self.tally.begin(session)
        if rows.is_large(session):
            rows.shrink(session, self.tally, by=self.by, now=self.now)
            return True
        rows.destroy(session, self.tally, now=self.now)
        return False

    def _is_still_due(self, session: Session) -> bool:
        """Look again, now that the row is locked; one that goes with a deleted parent must not have begun to run."""
        if Session.objects.filter(self.rule.due_sessions(self.now), pk=session.pk).exists():
            return True
        return self.rule.policy is Policy.DELETED and session.parent_id is not None and not session.is_running
