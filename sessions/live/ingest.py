"""The short way of what agents send all day: to the same handlers, without what only pages need, committed together.

A stock request costs more in the framework than in the database, and on SQLite sixteen of them at once mostly wait for
each other's write lock and for the disk. So appends that come with a key pass Django's handler with four of its
middlewares, on the threads of this module; on SQLite one thread takes all that wait, in one transaction with a
savepoint each, and answers after the commit. On PostgreSQL each is a transaction of its own, on several threads:
sessions locked by one group in another order than by the next would block each other.
"""

import asyncio
import contextlib
import contextvars
import io
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
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
from sessions.live.admission import is_ingest
from sessions.live.asgi_types import Application, Receive, Scope, Send
from sessions.live.refusals import BUSY, STOPPING, send_refusal

MIDDLEWARE = (
    "sessions.api.middleware.ProblemMiddleware",
    "sessions.api.zeroclaw.paths.keep_keys_encoded",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
)
"""Of the settings' list what a request with a key needs, in that order; the rest is for browsers."""
GROUP = 32
"""Requests committed together at most; each waits for all of them."""
LANES = 8
"""Threads where each request is a transaction of its own."""
TURN = threading.Lock()
"""Held by whoever in this process writes much on SQLite, while it writes.

Who waits for it goes on at once when it is free; SQLite itself lets a writer look again after a pause that grows up to
a tenth of a second, in which others pass it.
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


class Answering(Protocol):
    """What answers jobs, on any thread."""

    is_grouping: bool
    """Whether it is given several at once, one such group after the other."""

    def answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        """Return the answers to the jobs, in order."""


class Writer:
    """Answers jobs on a thread of its own, whose connection stays open on SQLite."""

    def __init__(self) -> None:
        self._handler = KeyedHandler()
        self.is_grouping = connection.vendor == "sqlite"
        self._file: tuple[int, int] | None = None
        self._index_at = 0.0

    def answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        """Return the answers to the jobs, in order; what they wrote is committed, in one transaction if it can be."""
        with TURN if self.is_grouping else contextlib.nullcontext():
            return self._answer(jobs)

    def _answer(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        if self.is_grouping:
            self._leave_lost_file()
            self._keep_up()
        try:
            if self.is_grouping and len(jobs) > 1:
                try:
                    return self._answer_together(jobs)
                except (_Lost, DatabaseError):
                    pass  # nothing of it was stored: alone, each gets the answer that is its own
            return [self._handler.answer(job) for job in jobs]
        finally:
            if connection.errors_occurred or not self.is_grouping:
                connection.close()

    def _leave_lost_file(self) -> None:
        """Close a connection whose file was removed or replaced: what it takes, nobody would ever read."""
        try:
            state = Path(connection.settings_dict["NAME"]).stat()
        except OSError:
            found = None
        else:
            found = (state.st_dev, state.st_ino)
        if found != self._file:
            connection.close()
            self._file = found

    def _keep_up(self) -> None:
        """Let the index come near what was written, if it has fallen behind; else the load would outrun the search."""
        now = time.monotonic()
        if now < self._index_at:
            return
        self._index_at = now + _INDEX_EVERY_SECONDS
        with contextlib.suppress(DatabaseError):  # who writes now finds out by itself, and is told
            indexing.keep_up()

    def _answer_together(self, jobs: Sequence[Job]) -> list[HttpResponse]:
        answers = []
        with transaction.atomic():
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


class Ingest:
    """ASGI middleware: answers what agents append, and passes everything else on."""

    def __init__(self, application: Application, *, queued: int, writer: Answering | None = None) -> None:
        self._application = application
        self._queued = queued
        self._queue: deque[_Waiting] = deque()
        self._writer = writer or Writer()
        self._group = GROUP if self._writer.is_grouping else 1
        self._idle = 1 if self._writer.is_grouping else LANES
        self._threads = ThreadPoolExecutor(max_workers=self._idle, thread_name_prefix="ingest")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request after its commit, or refuse it when too many wait."""
        if not is_ingest(scope):
            await self._application(scope, receive, send)
        elif len(self._queue) >= self._queued:
            await send_refusal(BUSY, path=scope["path"], send=send)
        else:
            body = await _read(receive)
            if body is not None:
                await self._wait(Job(scope, body), send)

    async def _wait(self, job: Job, send: Send) -> None:
        waiting = _Waiting(job, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._start()
        try:
            response = await waiting.answer
        except asyncio.CancelledError:
            if waiting in self._queue:  # nothing of it was done
                self._queue.remove(waiting)
                await send_refusal(STOPPING, path=job.scope["path"], send=send)
            raise
        headers = [(name.encode("latin1"), value.encode("latin1")) for name, value in response.items()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    def _start(self) -> None:
        """Give what waits to a thread, if one is free."""
        while self._queue and self._idle:
            taken = [self._queue.popleft() for _ in range(min(self._group, len(self._queue)))]
            self._idle -= 1
            work = partial(self._writer.answer, [waiting.job for waiting in taken])
            asyncio.get_running_loop().run_in_executor(self._threads, work).add_done_callback(
                partial(self._finish, taken)
            )

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
