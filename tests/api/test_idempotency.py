"""The Idempotency-Key of any POST."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from sessions.models import Message, Session, StoredAnswer
from tests.api.calling import agent_of
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db
BODY = {"agent_name": "koda"}
HELLO = {"role": "user", "content": "hello"}


def test_an_equal_request_gets_the_first_answer_and_acts_no_second_time(agent):
    first = agent.post("sessions", BODY, Idempotency_Key="k1")
    again = agent.post("sessions", BODY, Idempotency_Key="k1")

    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Session.objects.count() == 1


def test_messages_of_a_repeated_request_are_stored_once(agent, owner):
    path = f"sessions/{make_session(owner).uuid}/messages"

    answers = [agent.post(path, HELLO, Idempotency_Key="k1") for _ in range(3)]

    assert len({str(answer.body) for answer in answers}) == 1
    assert Message.objects.count() == 1


def test_without_the_header_every_request_acts(agent, owner):
    path = f"sessions/{make_session(owner).uuid}/messages"
    agent.post(path, HELLO)
    agent.post(path, HELLO)

    assert Message.objects.count() == 2
    assert not StoredAnswer.objects.exists()


def test_another_body_under_the_same_key_is_a_conflict(agent):
    agent.post("sessions", BODY, Idempotency_Key="k1")

    answer = agent.post("sessions", {"agent_name": "other"}, Idempotency_Key="k1")

    assert (answer.status, answer["code"]) == (409, "conflict")
    assert Session.objects.count() == 1


def test_another_path_under_the_same_key_is_a_conflict(agent, owner):
    first, second = make_session(owner), make_session(owner)
    agent.post(f"sessions/{first.uuid}/messages", HELLO, Idempotency_Key="k1")

    assert agent.post(f"sessions/{second.uuid}/messages", HELLO, Idempotency_Key="k1").status == 409
    assert not second.messages.exists()


def test_another_caller_has_keys_of_their_own(agent, owner):
    agent.post("sessions", BODY, Idempotency_Key="k1")

    assert agent_of(owner).post("sessions", BODY, Idempotency_Key="k1").status == 201
    assert agent_of(make_user()).post("sessions", BODY, Idempotency_Key="k1").status == 201
    assert Session.objects.count() == 3


def test_what_failed_is_not_kept_and_its_repeat_is_tried_anew(agent, owner):
    path = f"sessions/{make_session(owner).uuid}/messages"

    refused = agent.post(path, {"messages": [HELLO, {"role": "wizard"}]}, Idempotency_Key="k1")
    accepted = agent.post(path, HELLO, Idempotency_Key="k1")

    assert (refused.status, accepted.status) == (422, 201)
    assert Message.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be_one_is_refused(agent, key):
    answer = agent.post("sessions", BODY, Idempotency_Key=key)

    assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])


def test_after_a_day_the_key_is_free_again(agent, time_machine):
    agent.post("sessions", BODY, Idempotency_Key="k1")

    time_machine.move_to(timezone.now() + timedelta(hours=25))

    assert agent.post("sessions", {"agent_name": "other"}, Idempotency_Key="k1").status == 201


def test_old_answers_are_dropped(agent, time_machine):
    agent.post("sessions", BODY, Idempotency_Key="k1")
    time_machine.move_to(timezone.now() + timedelta(hours=25))
    agent.post("sessions", BODY, Idempotency_Key="k2")

    assert StoredAnswer.objects.drop_old() == 1
    assert StoredAnswer.objects.get().idempotency_key == "k2"


def test_an_unknown_caller_is_refused_as_ever_and_nothing_is_kept(db):
    from tests.api.calling import Agent

    assert Agent(plain="koda_wrong").post("sessions", BODY, Idempotency_Key="k1").status == 401
    assert not StoredAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_equal_requests_at_once_one_acts_and_all_get_its_answer(agent, owner):
    path = f"sessions/{make_session(owner).uuid}/messages"
    together = threading.Barrier(4)

    def send(_: int) -> tuple[int, str]:
        try:
            together.wait(10)
            answer = agent_with_same_key.post(path, HELLO, Idempotency_Key="k1")
            return answer.status, str(answer.body)
        finally:
            connection.close()

    agent_with_same_key = agent
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))

    assert {status for status, _ in answers} == {201}
    assert len(set(answers)) == 1
    assert Message.objects.count() == 1
