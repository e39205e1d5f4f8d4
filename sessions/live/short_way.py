"""The short way of what agents do all day: to the same handlers, without what only pages need.

A stock request costs more in the framework than in the database, and on SQLite sixteen of them at once mostly wait for
each other's write lock and for the disk. So what appends to a session or reads from it, and comes with a key, passes
Django's handler with four of its middlewares, on the threads of this module; on SQLite one thread takes all appends
that wait, in one transaction with a savepoint each, and answers after the commit, and others read beside it. On
PostgreSQL each is a transaction of its own, on several threads: sessions locked by one group in another order than by
the next would block each other.
"""

import asyncio
import contextlib
import contextvars
import io
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.urls import set_urlconf
from django.utils.log import log_response
from django.utils.module_loading import import_string

from sessions import indexing
from sessions.live.admission import Way, short_way
from sessions.live.asgi_types import Application, Receive, Scope, Send
from sessions.live.fair_lock import FairLock
from sessions.live.kept import READER_CACHE_KIB, keep_connection
from sessions.live.refusals import BUSY, STOPPING, send_refusal
from sessions.models import ApiKey
from sessions.models.patience import patience

MIDDLEWARE = (
    "sessions.api.middleware.ProblemMiddleware",
    "sessions.api.zeroclaw.paths.keep_keys_encoded",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
)
"""Of the settings' list what a request with a key needs, in that order; the rest is for browsers."""
GROUP = 32
"""Requests committed together at most; each waits for all of them."""
GROUP_BYTES = 2 * 1024 * 1024
"""Bytes of their bodies together, so that a checkpoint of a megabyte does not wait for thirty others."""
LANES = 8
"""Threads where each request is a transaction of its own."""
READERS = 4
"""Threads that read beside SQLite's one that writes."""
TURN = FairLock()
"""Held by whoever in this process writes to SQLite, while it writes: each transaction takes it, and a checkpoint does.

Who waits for it goes on when the one before has written; SQLite itself lets a writer look again after a pause that
grows up to a tenth of a second, in which others pass it.
"""
_INDEX_EVERY_SECONDS = 0.1
"""How often the writer looks whether the index keeps up."""

_ERROR = 400


@dataclass(slots=True)
class Job:
    """One request, and the context in which its lines are logged."""

    scope: Scope
    body: bytes
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


class KeyedHandler(BaseHandler):
    """Django's own handler, sync, with a shorter chain of middleware; tells nobody that a request began or ended.

    Upon that signal Django would close the connection of the thread.
    """

    def __init__(self) -> None:
        super().__init__()
        found: list[Any] = []
        self._view_middleware = self._template_response_middleware = self._exception_middleware = found
        chain: Any = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined] # Django's own step
        for name in reversed(MIDDLEWARE):
            chain = convert_exception_to_response(import_string(name)(chain))
        self._middleware_chain = chain

    def answer(self, job: Job) -> HttpResponse:
        """Return the answer to one request."""
        return job.context.run(self._answer, job.scope, job.body)

    def _answer(self, scope: Scope, body: bytes) -> HttpResponse:
        set_urlconf(settings.ROOT_URLCONF)
        request = ASGIRequest(dict(scope), io.BytesIO(body))
        response: HttpResponse = self._middleware_chain(request)
        request.close()
        if response.status_code >= _ERROR:
            log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
        return response


class _Lost(Exception):
    """The transaction of a group is gone, with what its requests had written."""


class Untouched(asyncio.CancelledError):
    """A job was cut off before anything of it was done."""


class Answering(Protocol):
    """What answers jobs, on any thread."""

    def answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        """Return the answers to the jobs, in order."""


class OneByOne:
    """Answers jobs, each a transaction of its own; on SQLite each thread keeps its connection."""

    cache_kib: int | None = READER_CACHE_KIB
    """What SQLite keeps of the file for a thread; None is what all other connections have."""

    def __init__(self) -> None:
        self._handler = KeyedHandler()

    def answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        """Return the answers to the jobs, in order; what they wrote is committed."""
        keep_connection(cache_kib=self.cache_kib)
        connection.close_if_unusable_or_obsolete()
        try:
            return self._answer(jobs)
        finally:
            connection.close_if_unusable_or_obsolete()

    def _answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        return [self._handler.answer(job) for job in jobs]


class Together(OneByOne):
    """Answers jobs on the one thread that appends to SQLite: several in one transaction, if it can be.

    Between two groups, every `index_every` seconds, it looks whether the index keeps up.
    """

    cache_kib = None

    def __init__(self, *, index_every: float = _INDEX_EVERY_SECONDS) -> None:
        super().__init__()
        self._index_every = index_every
        self._index_at = 0.0

    def _answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        self._keep_up()
        if len(jobs) == 1:
            return super()._answer(jobs)
        began = time.monotonic()
        try:
            return self._answer_together(jobs)
        except (_Lost, DatabaseError):
            return self._answer_alone(jobs, began=began)  # nothing of it was stored

    def _answer_alone(self, jobs: Sequence[Job], *, began: float) -> list[HttpResponse]:
        """Let each job of a group that was lost have the answer that is its own.

        All have waited since the group `began`: who holds the database that long would else cost each of them, one
        after the other, the whole patience once more.
        """
        whole = connection.patience_seconds  # type: ignore[attr-defined] # koda_web.engines.sqlite3
        answers = []
        for job in jobs:
            with patience(max(0.0, whole - (time.monotonic() - began))):
                answers.append(self._handler.answer(job))
        return answers

    def _keep_up(self) -> None:
        """Let the index come near what was written, if it has fallen behind; else the load would outrun the search."""
        now = time.monotonic()
        if now < self._index_at:
            return
        self._index_at = now + self._index_every
        with contextlib.suppress(DatabaseError):  # who writes now finds out by itself, and is told
            indexing.keep_up()

    def _answer_together(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        answers = []
        with transaction.atomic(), ApiKey.objects.looked_up_once():
            for job in jobs:
                answers.append(self._handler.answer(job))
                # A full disk ends SQLite's transaction behind Django's back.
                if connection.needs_rollback or not connection.connection.in_transaction:
                    raise _Lost
        return answers


@dataclass(slots=True)
class _Waiting:
    """A job and who waits for its answer."""

    job: Job
    answer: "asyncio.Future[HttpResponse]"


class Line:
    """Jobs in the order in which they came, answered on threads of their own, `together` at most at once on each."""

    def __init__(self, answering: Answering, *, name: str, threads: int, together: int) -> None:
        self._answering = answering
        self._queue: deque[_Waiting] = deque()
        self._together = together
        self._idle = threads
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    def __len__(self) -> int:
        return len(self._queue)

    async def answer(self, job: Job) -> HttpResponse:
        """Return the answer, after its commit. Raises `Untouched` when it is cut off while it still waits."""
        waiting = _Waiting(job, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._start()
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
                raise Untouched from None
            raise

    def _start(self) -> None:
        """Give what waits to threads, as long as one is free."""
        while self._queue and self._idle:
            taken = self._take()
            self._idle -= 1
            work = partial(self._answering.answer, [waiting.job for waiting in taken])
            asyncio.get_running_loop().run_in_executor(self._threads, work).add_done_callback(
                partial(self._finish, taken)
            )

    def _take(self) -> list[_Waiting]:
        """Take the first, and those behind it that go with it."""
        taken = [self._queue.popleft()]
        size = len(taken[0].job.body)
        while self._queue and len(taken) < self._together:
            size += len(self._queue[0].job.body)
            if size > GROUP_BYTES:
                break
            taken.append(self._queue.popleft())
        return taken

    def _finish(self, taken: Sequence[_Waiting], done: "asyncio.Future[list[HttpResponse]]") -> None:
        """Hand out the answers, and go on with what came meanwhile."""
        self._idle += 1
        error = done.exception()
        for place, waiting in enumerate(taken):
            if waiting.answer.done():
                continue  # its connection has gone
            if error is not None:
                waiting.answer.set_exception(error)
            else:
                waiting.answer.set_result(done.result()[place])
        self._start()


def _lines() -> Mapping[Way, Line]:
    """Return where requests of each kind stand; on SQLite all that writes in this process takes turns from now on."""
    if connection.vendor == "sqlite":
        connection.take_turns(TURN)  # type: ignore[attr-defined] # koda_web.engines.sqlite3
        return {
            Way.APPEND: Line(Together(), name="append", threads=1, together=GROUP),
            Way.READ: Line(OneByOne(), name="read", threads=READERS, together=1),
        }
    return dict.fromkeys(Way, Line(OneByOne(), name="keyed", threads=LANES, together=1))


class ShortWay:
    """ASGI middleware: answers what takes the short way, and passes everything else on."""

    def __init__(self, application: Application, *, queued: int, lines: Mapping[Way, Line] | None = None) -> None:
        self._application = application
        self._queued = queued
        self._lines = lines or _lines()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request after its commit, or refuse it when too many wait."""
        way = short_way(scope)
        if way is None:
            await self._application(scope, receive, send)
            return
        line = self._lines[way]
        if len(line) >= self._queued:
            await send_refusal(BUSY, path=scope["path"], send=send)
            return
        body = await _read(receive)
        if body is not None:
            await self._answer(line, Job(scope, body), send)

    async def _answer(self, line: Line, job: Job, send: Send) -> None:
        try:
            response = await line.answer(job)
        except Untouched:
            await send_refusal(STOPPING, path=job.scope["path"], send=send)
            raise
        headers = [(name.encode("latin1"), value.encode("latin1")) for name, value in response.items()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, None when its sender has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
