"""Two writers of one session at once: whatever the order, nothing is lost and the counter is right."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from sessions.models import Event, Session
from tests.api.calling import Agent, agent_of
from tests.api.zeroclaw.calling import at, say

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 8


def together(*acts: Callable[[], None]) -> None:
    """Let each act run on a thread of its own, all begun at once; fail when one of them does."""
    start, failures = threading.Barrier(len(acts)), []

    def run(act: Callable[[], None]) -> None:
        try:
            start.wait(10)
            act()
        except BaseException as error:  # noqa: BLE001 - told below, on the thread that may fail the test
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def repeat(act: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(ROUNDS):
            act()

    return run


@pytest.fixture
def agents(owner) -> list[Agent]:
    return [agent_of(owner) for _ in range(4)]


def test_of_first_messages_at_once_all_are_kept_in_one_session(agents):
    together(*(lambda agent=agent: [say(agent, f"race {n}") for n in range(ROUNDS)] for agent in agents))
    assert Session.objects.count() == ROUNDS
    for session in Session.objects.all():
        assert session.message_count == session.messages.count() == len(agents)


def test_appending_replacing_removing_and_clearing_leave_a_true_count_and_a_log_without_gaps(agents):
    one, two, three, four = agents
    removed: list[bool] = []
    together(
        repeat(lambda: say(one)),
        repeat(lambda: removed.append(two.delete(at("k", "/messages/last"))["removed"])),
        repeat(lambda: three.put(at("k", "/messages/last"), {"role": "user", "content": "x"})),
        repeat(lambda: four.delete(at("k", "/messages"))),
    )
    session = Session.objects.get()
    assert session.message_count == session.messages.count() <= ROUNDS - sum(removed)
    seqs = list(Event.objects.filter(session=session).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, session.last_seq + 1))


def test_appending_while_somebody_deletes_keeps_every_message_in_some_session(agents):
    one, two, *_ = agents
    together(repeat(lambda: say(one)), repeat(lambda: two.delete(at("k"))))
    assert Session.objects.active().count() <= 1
    assert sum(session.messages.count() for session in Session.objects.all()) == ROUNDS
