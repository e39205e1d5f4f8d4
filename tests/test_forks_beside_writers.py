"""A fork while its origin is written by others: what it copies is one moment of the history."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from sessions import compaction, forks, transcripts
from tests.factories import make_message, make_session

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite one writes after the other"),
]


def on_another_connection(act):
    def work():
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def forked_while(act, session):
    """Fork the session; `act` comes at the moment at which the new one is born."""
    waits = [act]

    def between(execute, sql, *rest):
        if waits and sql.startswith("INSERT") and '"koda_sessions_session"' in sql:
            on_another_connection(waits.pop())
        return execute(sql, *rest)

    with connection.execute_wrapper(between):
        made = forks.fork_messages(session, by="test")
    assert not waits
    return made


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_compaction_meanwhile_is_in_a_fork_whole_or_not_at_all(hours):
    session = make_session()
    at = timezone.now() + timedelta(hours=hours)
    for number in range(10):
        make_message(session, content=str(number), created_at=at)

    made = forked_while(lambda: compaction.compact(session.pk, summary="s", preserve_count=4, by="test"), session)

    context = [row.content for row in transcripts.context(made)]
    assert context == [str(number) for number in range(10)]
    assert not made.messages.archived().exists()
    assert session.messages.archived().count() == 6
