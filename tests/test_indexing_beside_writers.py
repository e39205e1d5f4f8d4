"""The index beside those who write: neither waits for a row that the other has while the other waits for it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from sessions import compaction, indexing, revisions, transcripts
from sessions.models import Message, Session, Unindexed
from sessions.models.patience import patience
from tests.factories import make_events, make_message, make_session, make_user

pytestmark = pytest.mark.django_db(transaction=True)
ON_POSTGRESQL = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one lock for all")


def on_its_own(act, *given):
    """Act on the connection of this thread, and close it."""
    try:
        return act(*given)
    finally:
        connections.close_all()


def beside(act):
    """Run `act` on a thread with a connection of its own, and return what it returned."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(on_its_own, act).result(30)


def wait_no_longer() -> None:
    """Let this transaction wait for a lock for a fifth of a second; its connection goes back to the pool as it was."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '200ms'")


@ON_POSTGRESQL
def test_what_waits_is_indexed_while_a_verb_has_the_session():
    session = make_session()
    make_message(session)
    make_events(session, {"type": "tool_call_start", "id": "c", "name": "B"}, {"type": "tool_call_result", "id": "c"})

    def index() -> int:
        with patience(0.5):
            return indexing.catch_up(seconds=5)

    with transaction.atomic():
        Session.objects.locked(session.pk)
        assert beside(index) > 0
    assert not Unindexed.objects.exists()


@ON_POSTGRESQL
def test_two_verbs_still_wait_for_each_other():
    session = make_session()

    def lock() -> str:
        try:
            with transaction.atomic():
                wait_no_longer()
                Session.objects.locked(session.pk)
        except Exception as error:  # noqa: BLE001 - its name is what the test asks
            return type(error).__name__
        return "both had it"

    with transaction.atomic():
        Session.objects.locked(session.pk)
        assert beside(lock) == "OperationalError"


@ON_POSTGRESQL
@pytest.mark.parametrize("has_children", [False, True])
def test_nobody_writes_to_what_is_being_destroyed(has_children):
    """Who would write a row that points to it waits until it is gone, and is refused then."""
    root = make_session()
    target = make_session(root.owner, parent=root) if has_children else root

    def note() -> str:
        try:
            with transaction.atomic():
                wait_no_longer()
                Unindexed.objects.create(session_id=target.pk)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        return "written"

    with transaction.atomic():
        Session.objects.locked_to_destroy(root.pk).locked_with_descendants()
        assert beside(note) == "OperationalError"


@ON_POSTGRESQL
def test_messages_are_held_from_the_oldest_on_whether_they_came_alone_or_together():
    """Who takes all of them back locks them in that order, and would wait for the index while it waits for them."""
    session = make_session()
    oldest, *_ = transcripts.append(session.pk, [transcripts.MessageDraft(role="user", content="a")] * 3).ids
    newest = make_message(session)

    def lock(pk: int, **how: bool) -> None:
        Message.objects.select_for_update(no_key=True, **how).only("pk").get(pk=pk)

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            lock(oldest)
            indexed = threads.submit(on_its_own, indexing.catch_up)
            wait_for_one_that_waits()
            lock(newest, nowait=True)
        indexed.result(30)
    assert indexing.shortcomings() == {"missing": 0, "broken": False}


def wait_for_one_that_waits() -> None:
    """Return when another connection to this database waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(waits)
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.02)
    pytest.fail("nobody waits")


def use_tools(session: Session, name: str) -> None:
    """Do a turn of five calls side by side, told by events and by messages in another order."""
    ids = [f"{name}-{number}" for number in range(5)]
    begun = [{"type": "tool_call_start", "id": one, "name": "B", "args": {"a": one}} for one in ids]
    make_events(session, {"type": "turn_start", "turn_id": name}, *begun)
    make_events(session, *({"type": "tool_call_result", "id": one, "output": "o"} for one in ids))
    calls = [{"id": one, "function_name": "B", "arguments": "{}"} for one in reversed(ids)]
    make_message(session, role="assistant", content=None, tool_calls=calls)
    for one in reversed(ids):
        make_message(session, role="tool", content="o", tool_call_id=one)
    make_events(session, {"type": "turn_end", "turn_id": name, "reason": {"kind": "complete"}})


def compact(session: Session, name: str) -> None:
    """Say ten things, and archive most of them."""
    for number in range(10):
        make_message(session, content=f"{name} {number}")
    compaction.compact(session.pk, summary="s", preserve_count=2, by="test")


def take_back(session: Session, name: str) -> None:
    """Say five things, one of them otherwise, and take them all back."""
    for number in range(5):
        make_message(session, content=f"{name} {number}")
    revisions.replace_last(session.pk, role="user", content="else", by="test")
    revisions.clear(session.pk, by="test")


@pytest.mark.slow
def test_agents_and_the_index_do_not_stop_each_other():
    """Tool calls, compactions and words taken back, each by two agents, while everything is indexed at once."""
    owner = make_user()
    over = threading.Event()

    def work(step) -> None:
        session = make_session(owner)
        for number in range(30):
            step(session, f"c{number}")

    def index() -> int:
        batches = 0
        while not over.is_set():
            batches += indexing.catch_up(seconds=1)
        return batches

    with ThreadPoolExecutor(7) as threads:
        indexer = threads.submit(on_its_own, index)
        agents = [threads.submit(on_its_own, work, step) for step in (use_tools, compact, take_back) * 2]
        failed = [agent.exception() for agent in agents]
        over.set()
    assert failed == [None] * 6
    assert indexer.result() > 0
