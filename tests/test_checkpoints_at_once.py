"""Checkpoints that come at the same moment: one after the other, none lost, times in order."""

import threading

import pytest
from django.db import close_old_connections, connection

from sessions.models import Checkpoint, Message, Session
from tests.api.stakpak.calling import says, user
from tests.test_checkpoints import add, begin, messages_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_eight_writers_of_one_session_leave_eight_whole_checkpoints():
    first = begin([user("begin")])
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            for step in range(3):
                add(first, [user("begin"), says(f"{number} {step}")])
        except Exception as error:  # noqa: BLE001 - whatever it was, the test tells
            failures.append(error)
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    rows = list(Checkpoint.objects.filter(session=first.session_id).order_by("seq"))
    assert failures == []
    assert [row.seq for row in rows] == list(range(1, 26))
    assert len({row.created_at for row in rows}) == 25
    assert [row.created_at for row in rows] == sorted(row.created_at for row in rows)
    assert Session.objects.get(pk=first.session_id).active_checkpoint == rows[-1]
    told = {messages_of(row)[-1]["content"] for row in rows[1:]}
    assert told == {f"{number} {step}" for number in range(8) for step in range(3)}
    shown = [row.content for row in Message.objects.of(first.session_id).unarchived()]
    assert shown == [message["content"] for message in messages_of(rows[-1])]
