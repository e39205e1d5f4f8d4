"""A purge beside writers, beside another purge, beside the indexing."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from sessions import compaction, indexing, retention
from sessions.models import Message, Session
from sessions.retention import Policy, Rule, rows
from tests.factories import make_message, make_session
from tests.message_drafts import append, user
from tests.retention.words import NOW, days_ago

pytestmark = pytest.mark.django_db(transaction=True)
SESSIONS, MESSAGES = 3, 30


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(rows, "MESSAGES_AT_ONCE", 10)
    monkeypatch.setattr(rows, "EVENTS_AT_ONCE", 10)


@pytest.fixture
def sessions():
    made = [make_session() for _ in range(SESSIONS)]
    for session in made:
        append(session, *(user(f"zebra {number}") for number in range(MESSAGES)), now=days_ago(40))
        compaction.compact(session.pk, summary="s", preserve_count=0, by="test", now=days_ago(39))
    return made


def run(policy="compacted", age=30):
    try:
        return retention.purge(Rule(policy=Policy(policy), age=age), by="test", now=NOW)
    finally:
        connection.close()


@pytest.mark.parametrize(("policy", "age"), [("compacted", 30), ("stale", 24)])
def test_two_at_once_destroy_each_thing_once_beside_the_indexing(sessions, small_batches, policy, age):
    if policy == "stale":
        Session.objects.update(last_activity_at=days_ago(9))
    stop = threading.Event()

    def index():
        try:
            while not stop.is_set():
                indexing.catch_up(seconds=0.05)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        indexer = threads.submit(index)
        done = [threads.submit(run, policy, age) for _ in range(2)]
        results = [one.result() for one in done]
        stop.set()
        indexer.result()
    table = Policy(policy).table
    total = sum(result.counts.get(table, 0) for result in results)
    assert total == (SESSIONS * MESSAGES if policy == "compacted" else SESSIONS)
    assert not Message.objects.archived().exists()
    for session in Session.objects.all():
        assert session.message_count == session.messages.count() == 2


def test_between_two_batches_others_write(sessions, small_batches):
    """A writer that had to wait for the whole would wait here for ever: the purge waits for the writer."""
    other = make_session()

    def write():
        try:
            return make_message(other, content="meanwhile")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        rule = Rule(policy=Policy.COMPACTED, age=30)
        purged = retention.purge(
            rule, by="test", now=NOW, is_told_to_stop=lambda: not threads.submit(write).result(timeout=10)
        )
    assert purged.counts["messages"] == SESSIONS * MESSAGES
    assert other.messages.count() >= SESSIONS * MESSAGES // 10
