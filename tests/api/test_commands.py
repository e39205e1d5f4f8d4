"""POST and GET /sessions/{id}/commands, POST /commands/{id}/ack."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient
from django.utils import timezone

from sessions import commands
from sessions.models import ApiKey, Command
from tests.api.calling import agent_of
from tests.factories import make_events, make_session

pytestmark = pytest.mark.django_db
CAP = {"type": "loop_cap_reached", "cap": 200, "recent_tools": []}


@pytest.fixture
def session(owner):
    return make_session(owner)


@pytest.fixture
def path(session):
    return f"sessions/{session.uuid}/commands"


def test_a_command_is_requested_delivered_and_obeyed(agent, path):
    asked = agent.post(path, {"type": "user_prompt", "text": "And the tests?", "images": []})
    assert (asked.status, asked["status"]) == (201, "requested")

    handed = agent.get(path)["commands"]
    assert [(one["id"], one["command"]) for one in handed] == [
        (asked["id"], {"type": "user_prompt", "text": "And the tests?", "images": []})
    ]
    assert agent.get(path).body == {"commands": []}

    acked = agent.post(f"/api/v1/commands/{asked['id']}/ack", {"obeyed": True, "detail": "on it"})
    assert acked.body == {"id": asked["id"], "status": "obeyed"}
    assert Command.objects.get().detail == "on it"


def test_commands_come_in_the_order_in_which_they_were_asked_for(agent, path):
    ids = [agent.post(path, {"type": "user_prompt", "text": str(n)})["id"] for n in range(3)]

    assert [one["id"] for one in agent.get(path)["commands"]] == ids


def test_what_was_not_acknowledged_comes_again_after_half_a_minute(agent, path, time_machine):
    agent.post(path, {"type": "interrupt"})
    first = agent.get(path)["commands"]
    time_machine.move_to(timezone.now() + timedelta(seconds=29))
    assert agent.get(path)["commands"] == []

    time_machine.move_to(timezone.now() + timedelta(seconds=2))
    assert agent.get(path)["commands"] == first


@pytest.mark.parametrize("after", [[], [{"type": "turn_start", "turn_id": "next"}, CAP]])
def test_what_a_turn_took_and_did_not_acknowledge_never_reaches_the_next(agent, path, session, time_machine, after):
    """An interrupt that got lost would stop the wrong turn, a loop decision let the next cap go on."""
    make_events(session, {"type": "turn_start", "turn_id": "t"}, CAP)
    agent.post(path, {"type": "loop_decision", "action": "continue200"})
    agent.post(path, {"type": "interrupt"})
    agent.post(path, {"type": "user_prompt", "text": "go on"})
    lost = agent.get(path)["commands"]
    time_machine.move_to(timezone.now() + timedelta(seconds=31))
    assert agent.get(path)["commands"] == lost, "the turn runs"

    time_machine.move_to(timezone.now() + timedelta(seconds=31))
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}, *after)
    assert [one["command"]["type"] for one in agent.get(path)["commands"]] == ["user_prompt"]
    assert agent.post(f"/api/v1/commands/{lost[1]['id']}/ack", {"obeyed": True})["status"] == "obeyed"


def test_heartbeats_and_events_bring_a_command_once(agent, path, session, time_machine):
    def told(route: str, body: dict) -> list[dict]:
        return agent.post(f"sessions/{session.uuid}/{route}", body)["commands"]

    agent.post(path, {"type": "interrupt"})
    [first] = told("heartbeat", {})
    time_machine.move_to(timezone.now() + timedelta(seconds=31))
    assert told("heartbeat", {}) == told("events", {"events": [{"type": "info"}]}) == []
    agent.post(path, {"type": "quit"})
    assert [one["command"]["type"] for one in told("heartbeat", {})] == ["quit"]
    assert agent.get(path)["commands"] == [first]


def test_the_first_answer_to_a_request_wins(agent, path, session):
    make_events(session, {"type": "turn_start", "turn_id": "t"}, {"type": "approval_request", "id": "r"})
    answer = {"type": "approval_response", "id": "r", "decision": {"decision": "approve"}}

    assert agent.post(path, answer).status == 201
    assert agent.post(path, answer).status == 409
    assert agent.post(path, {**answer, "id": "ghost"}).status == 404
    assert Command.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": "dance"}, "type"),
        ({"type": "user_prompt"}, "text"),
        ({"type": "approval_response", "id": "r", "decision": {"decision": "perhaps"}}, "decision.decision"),
        ({"type": "loop_decision", "action": "continue9"}, "action"),
    ],
)
def test_what_is_no_command_is_refused(agent, path, body, field):
    answer = agent.post(path, body)

    assert (answer.status, answer.fields) == (422, [field])
    assert not Command.objects.exists()


def test_an_acknowledgement_may_be_repeated_and_not_be_taken_back(agent, path):
    number = agent.post(path, {"type": "interrupt"})["id"]
    ack = f"/api/v1/commands/{number}/ack"

    assert agent.post(ack, {"obeyed": False})["status"] == "refused"
    assert agent.post(ack, {"obeyed": False}).status == 200
    assert agent.post(ack, {"obeyed": True}).status == 409


@pytest.mark.parametrize("number", ["0", "7", "x", "-1", str(2**63)])
def test_a_command_that_does_not_exist_is_not_found(agent, number):
    assert agent.post(f"/api/v1/commands/{number}/ack", {"obeyed": True}).status == 404


@pytest.mark.parametrize("body", [{}, {"obeyed": "yes"}, {"obeyed": 1}])
def test_an_acknowledgement_says_yes_or_no(agent, path, body):
    number = agent.post(path, {"type": "interrupt"})["id"]

    assert agent.post(f"/api/v1/commands/{number}/ack", body).status == 422


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan", "inf"])
def test_a_wait_that_is_none_is_refused(agent, path, wait):
    answer = agent.get(f"{path}?wait={wait}")

    assert (answer.status, answer.fields) == (422, ["wait"])


def test_a_poll_that_finds_something_does_not_wait(agent, path):
    agent.post(path, {"type": "interrupt"})

    began = time.monotonic()
    assert len(agent.get(f"{path}?wait=30")["commands"]) == 1
    assert time.monotonic() - began < 10


@pytest.mark.django_db(transaction=True)
async def test_a_poll_is_woken_by_the_command_and_holds_no_thread_meanwhile(owner, session, agent, path):
    await sync_to_async(agent.get)(path)
    threads = threading.active_count()
    polls = [
        asyncio.create_task(AsyncClient().get(f"/api/v1/{path}?wait=30", headers=agent.headers)) for _ in range(20)
    ]
    for _ in range(200):
        await asyncio.sleep(0.02)
        if threading.active_count() <= threads:
            break
    assert threading.active_count() <= threads
    assert not any(poll.done() for poll in polls)

    began = time.monotonic()
    await sync_to_async(commands.ask)(session.pk, {"type": "interrupt"}, by=owner)
    done, waiting = await asyncio.wait(polls, timeout=15, return_when=asyncio.FIRST_COMPLETED)

    assert time.monotonic() - began < 4  # sooner than the look that needs no bell
    answers = [poll.result().json()["commands"] for poll in done]
    assert [len(answer) for answer in answers if answer] == [1]
    for poll in waiting:
        poll.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
async def test_a_poll_ends_with_nothing_when_its_time_is_over(agent, path):
    answer = await AsyncClient().get(f"/api/v1/{path}?wait=0.2", headers=agent.headers)

    assert answer.json() == {"commands": []}
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("lose", "status"),
    [
        (lambda key: key.revoke(), 401),
        (lambda key: ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now()), 401),
        (lambda key: User.objects.filter(pk=key.user_id).update(is_active=False), 401),
        (lambda key: ApiKey.objects.filter(pk=key.pk).update(can_write=False), 403),
    ],
)
async def test_a_key_that_ends_while_it_polls_gets_no_command(owner, session, agent, path, lose, status):
    poll = asyncio.create_task(AsyncClient().get(f"/api/v1/{path}?wait=30", headers=agent.headers))
    await asyncio.sleep(0.3)
    await sync_to_async(lose)(agent.key.record)
    await sync_to_async(commands.ask)(session.pk, {"type": "user_prompt", "text": "secret"}, by=owner)
    answer = await asyncio.wait_for(poll, timeout=15)
    assert (answer.status_code, b"secret" in answer.content) == (status, False)
    assert (await Command.objects.aget()).status == "requested"
    await sync_to_async(connections.close_all)()


def test_a_control_key_asks_and_does_not_fetch(agent, owner, path):
    controller = agent_of(owner, "control")

    assert controller.post(path, {"type": "interrupt"}).status == 201
    assert controller.get(path).status == 403
    assert len(agent.get(path)["commands"]) == 1


@pytest.mark.parametrize(
    ("asks", "answer"),
    [
        (CAP, {"type": "loop_decision", "action": "stop"}),
        (
            {"type": "approval_request", "id": "r", "tool_name": "Edit"},
            {"type": "approval_response", "id": "r", "decision": {"decision": "approve"}},
        ),
    ],
)
def test_of_two_requests_alike_each_takes_an_answer_the_newest_first(agent, session, path, asks, answer):
    make_events(session, {"type": "turn_start", "turn_id": "t"}, asks, asks)
    newest, older = session.requests.order_by("-id")

    assert agent.post(path, answer).status == 201
    for request in (newest, older):
        request.refresh_from_db()
    assert (newest.is_open, older.is_open) == (False, True)
    session.refresh_from_db()
    assert session.needs == older.kind

    assert agent.post(path, answer).status == 201
    session.refresh_from_db()
    assert session.needs == ""
    assert agent.post(path, answer).status == 409
