"""The keeper: work that no request asks for, done beside the requests on threads of its own.

To add a job, add a line to `jobs()`. Whatever people see is computed when it is read, so a keeper that is
late or dead shows in ``/healthz`` but makes nothing untrue.
"""

import asyncio
import logging
import os
import socket
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from inspect import isawaitable

from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

from sessions import counting, liveness, retention
from sessions.live import memory, wal, webhooks
from sessions.live.short_way import TURN
from sessions.live.tending import Tending
from sessions.models import Delivery, Destroyed, Lease, StoredAnswer

logger = logging.getLogger(__name__)

LEASE_TIME = timedelta(seconds=30)
"""How long a shared job may rest when the server that does it dies."""
NOTE_EVERY = timedelta(seconds=5)
"""How exactly the last run of a shared job is known: not each run of a quick job is worth a write."""

_LOOK_EVERY = timedelta(milliseconds=200)
_BEAT_EVERY = timedelta(seconds=2)
_BEAT_WITH_REDIS_EVERY = timedelta(seconds=15)
_STOP_SECONDS = 5
_CATCH_UP_SECONDS = 3.0

Listener = Callable[[], Awaitable[None] | None]

_listeners: list[Listener] = []


def when_written_elsewhere(listener: Listener) -> Listener:
    """Call `listener`, on the server's loop, whenever the database may have been written by someone else.

    "May": the server's own commits ring it too, and a database that cannot tell rings it at a slow beat. So
    it has to be cheap and harmless to repeat. Can be used as a decorator.
    """
    _listeners.append(listener)
    return listener


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something to do again and again: `run` is called on the keeper's thread, `every` after its last end."""

    name: str
    every: timedelta
    run: Callable[..., object]
    is_shared: bool = False
    """Whether one server does it for all. A server that was asleep may do one round too many, so a shared
    job has to bear two that do it at once."""
    is_slow: bool = False
    """Whether it waits for machines that are not ours, or takes long, or must never stand behind one that waits for
    a lock, and so has a thread of its own."""
    is_long: bool = False
    """Whether it goes on for so long that it is given, as its argument, a way to see that the server stops."""


def jobs() -> list[Job]:
    """Return what the keeper does on this database."""
    work = [
        Job(name=liveness.LISTENING, every=liveness.LISTENING_EVERY, run=liveness.listen, is_slow=True),
        Job(name=liveness.WATCHDOG, every=timedelta(seconds=1), run=liveness.keep_watch, is_shared=True),
        Job(name="webhooks", every=timedelta(seconds=1), run=webhooks.run, is_shared=True, is_slow=True),
        Job(
            name="search",
            every=timedelta(seconds=0.5),
            run=Tending().tend,
            is_shared=True,
            is_slow=True,
        ),
        Job(name="answers", every=timedelta(minutes=10), run=StoredAnswer.objects.drop_old, is_shared=True),
        Job(name="deliveries", every=timedelta(hours=1), run=Delivery.objects.drop_old, is_shared=True),
        Job(name="destroyed", every=timedelta(hours=1), run=Destroyed.objects.drop_old, is_shared=True),
    ]
    work.append(Job(name="memory", every=memory.EVERY, run=memory.give_back))
    work.append(Job(name="footprints", every=timedelta(seconds=10), run=_add_up, is_shared=True, is_slow=True))
    if retention.rules():
        work.append(
            Job(
                name=retention.RETENTION, every=retention.EVERY, run=retention.keep_to_policy,
                is_shared=True, is_slow=True, is_long=True,
            )
        )  # fmt: skip
    if connection.vendor == "sqlite":
        run = partial(wal.checkpoint, turn=TURN)
        work.append(Job(name="checkpoint", every=timedelta(seconds=10), run=run, is_shared=True))
    return work


def _add_up() -> None:
    """Measure and count the sessions that changed, for the storage page and the figures."""
    retention.measure()
    counting.count(seconds=_CATCH_UP_SECONDS)


class Keeper:
    """Runs jobs while the server runs. Every job has its own rhythm; all but the slow ones share one thread.

    A round that fails is logged and counted, and the next comes in its time.
    """

    def __init__(self, work: Iterable[Job], *, owner: str | None = None) -> None:
        """Prepare; `owner` names this server in the leases, by default by host, process and a random part."""
        self._jobs = list(work)
        self._owner = owner or f"{socket.gethostname()[:100]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
        self._slow_threads = {
            job.name: ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"keeper-{job.name}")
            for job in self._jobs
            if job.is_slow
        }
        self._watch = wal.Watch() if connection.vendor == "sqlite" else None
        self._watch_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper-watch")
        self._renewed_at: dict[str, datetime] = {}
        self._noted_at: dict[str, datetime] = {}
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: Counter[str] = Counter()
        """How many rounds of each job have failed since the start."""
        self._failing: dict[str, Counter[type[Exception]]] = {}

    async def start(self) -> None:
        """Begin all jobs; a database that is not there yet is waited for."""
        rhythms = [self._repeat(job.every, job.name, self._do_job(job)) for job in self._jobs]
        rhythms.append(self._repeat(_rhythm_of_looks(), "watch", self._look))
        self._tasks = [asyncio.create_task(rhythm) for rhythm in rhythms]

    async def stop(self) -> None:
        """End the jobs and leave the database in order: leases given back, the log written into it."""
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        await self._attempt("end", lambda: self._in_thread(self._thread, self._end))
        if (watch := self._watch) is not None:
            await self._attempt("watch", lambda: self._in_thread(self._watch_thread, watch.close))
        for thread in (self._thread, *self._slow_threads.values()):
            thread.shutdown(wait=False)
        self._watch_thread.shutdown(wait=False)

    # --- Rhythm --------------------------------------------------------------------------------------------

    async def _repeat(self, every: timedelta, name: str, act: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            await self._attempt(name, act)
            try:
                await asyncio.wait_for(self._stopping.wait(), timeout=every.total_seconds())
            except TimeoutError:
                continue

    async def _attempt(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next round comes in its time
            self._note_failure(name, error)
            return
        if name in self._failing:
            failed = self._failing.pop(name).total()
            logger.info("The keeper's job %s works again; rounds that had failed: %d", name, failed)

    def _note_failure(self, name: str, error: Exception) -> None:
        """Count and log a round that failed: the first one in full, the others in a row like it by a line each."""
        self.failures[name] += 1
        before = self._failing.setdefault(name, Counter())
        if before[type(error)]:
            logger.warning("The keeper's job %s failed again: %s", name, error)
        else:
            logger.error("The keeper's job %s failed", name, exc_info=error)
        before[type(error)] += 1

    async def _in_thread(self, thread: ThreadPoolExecutor, act: Callable[[], None]) -> None:
        work = asyncio.get_running_loop().run_in_executor(thread, act)
        if self._stopping.is_set():
            await asyncio.wait_for(work, timeout=_STOP_SECONDS)
        else:
            await work

    # --- Looking out ---------------------------------------------------------------------------------------

    async def _look(self) -> None:
        if self._watch is not None:
            loop = asyncio.get_running_loop()
            if not await loop.run_in_executor(self._watch_thread, self._watch.has_changed):
                return
        for listener in _listeners:
            answer = listener()
            if isawaitable(answer):
                await answer

    # --- Jobs ----------------------------------------------------------------------------------------------

    def _do_job(self, job: Job) -> Callable[[], Awaitable[None]]:
        thread = self._slow_threads.get(job.name, self._thread)
        return lambda: self._in_thread(thread, lambda: self._do(job))

    def _do(self, job: Job) -> None:
        close_old_connections()
        try:
            if job.is_shared and not self._has_lease(job):
                return
            job.run(self._stopping.is_set) if job.is_long else job.run()
            if job.is_shared:
                self._note(job)
        finally:
            close_old_connections()

    def _has_lease(self, job: Job) -> bool:
        now = timezone.now()
        span = max(LEASE_TIME, 3 * job.every)
        if _is_within(span / 3, self._renewed_at.get(job.name), now):
            return True
        is_mine = Lease.objects.take(job.name, owner=self._owner, seconds=span.total_seconds())
        if is_mine:
            self._renewed_at[job.name] = now
        else:
            self._renewed_at.pop(job.name, None)
        return is_mine

    def _note(self, job: Job) -> None:
        now = timezone.now()
        if not _is_within(NOTE_EVERY, self._noted_at.get(job.name), now):
            Lease.objects.touch(job.name)
            self._noted_at[job.name] = now

    def _end(self) -> None:
        close_old_connections()
        try:
            for name in self._renewed_at:
                Lease.objects.give_back(name, owner=self._owner)
            if "checkpoint" in self._renewed_at:
                wal.checkpoint(at_least=1)
        finally:
            close_old_connections()


def _is_within(span: timedelta, since: datetime | None, now: datetime) -> bool:
    """Say whether less than `span` has passed; what lies in the future was before the clock was set back."""
    return since is not None and timedelta() <= now - since < span


def _rhythm_of_looks() -> timedelta:
    if connection.vendor == "sqlite":
        return _LOOK_EVERY
    return _BEAT_WITH_REDIS_EVERY if settings.KODA_REDIS_URL else _BEAT_EVERY
