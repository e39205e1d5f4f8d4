"""The product's own verb without HTTP, and the limit of it: its statements alone."""

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from benchmarks.bodies import text_of
from sessions import transcripts
from sessions.models import Message, Session
from sessions.transcripts import MessageDraft

_RECORDED = 1_000
"""Messages whose statements are recorded."""
Statement = tuple[str, Any]


def append(batch: int, seconds: float) -> float:
    """Append for a while and return how many messages a second were stored."""
    put = _appending(batch)
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        put(done)
        done += batch
    return done / (time.perf_counter() - began)


def replay(batch: int) -> float:
    """Return how many messages a second the same statements would store, run by the driver with nothing around them.

    They are recorded in a transaction that is rolled back, so the same rows get the same numbers once more.
    """
    put = _appending(batch)
    appends: list[list[Statement]] = []
    with transaction.atomic():
        for done in range(0, _RECORDED, batch):
            appends.append([])
            with connection.execute_wrapper(_recorder(appends[-1])):
                put(done)
        transaction.set_rollback(True)
    before = Message.objects.count()
    driver = connection.connection.cursor()
    began = time.perf_counter()
    for statements in appends:
        driver.execute("BEGIN IMMEDIATE")
        for sql, params in statements:
            driver.execute(sql, params)
            driver.fetchall()
        driver.execute("COMMIT")
    lasted = time.perf_counter() - began
    assert Message.objects.count() == before + _RECORDED
    return _RECORDED / lasted


def _appending(batch: int) -> Callable[[int], object]:
    """Return what appends the next batch to a new session, given how many messages it has."""
    owner = User.objects.get(username="owner")
    session = Session.objects.start(owner=owner, source="inside", agent_name="bench").session
    drafts = [MessageDraft(role="user", content=text_of(number)) for number in range(1000)]

    def put(done: int) -> object:
        first = done % 900
        return transcripts.append(session.pk, drafts[first : first + batch])

    return put


def _recorder(statements: list[Statement]) -> Callable[..., Any]:
    """Return what notes each statement, as the driver takes it, and runs it; transactions are left out."""

    def record(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's signature
        if not sql.startswith(("SAVEPOINT", "RELEASE")):
            statements.append((context["cursor"].cursor.convert_query(sql), params or ()))
        return execute(sql, params, many, context)

    return record
