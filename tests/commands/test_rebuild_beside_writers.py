"""manage.py rebuild while servers write and destroy what it looks at."""

import threading

import pytest
from django.db import connection

from sessions.models import Session, TokenCounts
from tests.commands.test_rebuild import run
from tests.factories import make_message, make_session

COUNTS_MESSAGES = 'SELECT COUNT(*) AS "__count" FROM "koda_sessions_message"'


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [("--check",), ()])
def test_a_session_that_is_destroyed_between_two_looks_differs_in_nothing(arguments):
    kept, gone = make_session(), make_session()
    Session.objects.filter(pk=gone.pk).update(turn_count=7)

    def destroy(execute, sql, params, *rest):
        found = execute(sql, params, *rest)
        if sql.startswith(COUNTS_MESSAGES) and gone.pk in params:
            Session.objects.filter(pk=gone.pk).delete()
        return found

    with connection.execute_wrapper(destroy):
        said = run(*arguments)

    assert said.startswith("0 counters of 1 sessions differ")
    assert Session.objects.get() == kept


@pytest.mark.django_db
@pytest.mark.parametrize("kept", ["share", "footprint"])
def test_a_session_that_is_written_while_its_figures_are_looked_at_differs_in_nothing(kept):
    session = make_session()
    run()
    written = []

    def write(execute, sql, params, *rest):
        found = execute(sql, params, *rest)
        if sql.startswith("SELECT") and f'FROM "koda_sessions_{kept}"' in sql and len(written) < 3:
            written.append(sql)
            make_message(session, role="assistant", usage=TokenCounts(prompt_tokens=7))
        return found

    with connection.execute_wrapper(write):
        said = run("--check")

    assert len(written) == 3
    assert said == "0 counters of 1 sessions differ.\n"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite a second writer would wait for the test")
def test_a_session_that_is_written_all_the_time_differs_in_nothing():
    session = make_session()
    writers: list[threading.Thread] = []

    def work():
        try:
            make_message(session)
        finally:
            connection.close()

    def write(execute, sql, params, *rest):
        if sql.startswith(COUNTS_MESSAGES) and len(writers) < 2:
            writers.append(threading.Thread(target=work))
            writers[-1].start()
            writers[-1].join(1)  # of a session that is held it waits for longer
        return execute(sql, params, *rest)

    with connection.execute_wrapper(write):
        said = run("--check")

    for writer in writers:
        writer.join()
    assert said == "0 counters of 1 sessions differ.\n"
    assert session.messages.count() == len(writers) == 2
