"""Turns, requests, commands and signs of life over HTTP: in whatever order they come, each is what it should be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sessions import liveness, recounting
from sessions.models import Session
from tests.api.calling import Agent, agent_of
from tests.contracts.held import log_of
from tests.contracts.test_native_door import Logged
from tests.factories import make_user
from tests.folded import Folded

TURNS = st.sampled_from(["t1", "t2", "t3"])
ENDS = st.sampled_from([{"kind": "complete"}, {"kind": "cancelled"}, {"kind": "error", "message": "m"}])
NAMES = st.sampled_from(["Bash", "Read"])
OUTPUTS = st.sampled_from(["fine", "User rejected this action.", "[cancelled]"])
BUDGETS = st.sampled_from([None, 10, 600, 4000])


def event(type_: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(type_), **fields}).map(
        lambda made: {name: value for name, value in made.items() if value is not None}
    )


EVENTS = st.one_of(
    event("turn_start", turn_id=TURNS),
    event("turn_end", turn_id=TURNS, reason=ENDS),
    event("tool_call_start", id=st.sampled_from(["c1", "c2"]), name=NAMES, expect_within=BUDGETS),
    event("tool_call_result", id=st.sampled_from(["c1", "c2"]), output=OUTPUTS),
    event("approval_request", id=st.sampled_from(["a", "b"]), tool_name=NAMES, turn_id=st.none() | TURNS),
    event("loop_cap_reached", cap=st.just(200), turn_id=st.none() | TURNS),
    event("ask_user_request", id=st.sampled_from(["a", "q"])),
    event("text_delta", text=st.just("word ")),
    event("info", message=st.just("m")),
)
ASKED = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["interrupt", "quit"])}),
    st.just({"type": "user_prompt", "text": "go on"}),
    st.sampled_from(["a", "b"]).map(
        lambda name: {"type": "approval_response", "id": name, "decision": {"decision": "approve"}}
    ),
    st.just({"type": "loop_decision", "action": "continue50"}),
    st.sampled_from(["a", "q"]).map(lambda name: {"type": "ask_user_response", "id": name, "answer": "yes"}),
)
ANSWERS = {"approval_response": "approval", "loop_decision": "loop_decision", "ask_user_response": "input"}
SECONDS = st.sampled_from([1, 1, 14, 31, 61, 91, 301, 4000])


@dataclass
class Asked:
    """A command, as people and agents know it."""

    id: int
    body: dict[str, Any]
    turn_id: str | None
    status: str = "requested"
    delivered_at: datetime | None = None


@dataclass
class Told(Folded):
    """What the events come to, with what people asked meanwhile; a turn that is over takes what nobody fetched."""

    asked: list[Asked] = field(default_factory=list)

    def close(self, turn_id: str, reason: str) -> None:
        super().close(turn_id, reason)
        self.expire(turn_id)

    def move(self, state: str, turn_id: str | None) -> None:
        if self.state == "running" and (state != "running" or turn_id not in {None, self.turn_id}):
            self.expire(self.turn_id)
        super().move(state, turn_id)

    def release(self, turn_ids: Sequence[str]) -> None:
        self.expire(self.turn_id)
        super().release(turn_ids)

    def expire(self, turn_id: str | None) -> None:
        for one in self.asked:
            if turn_id is not None and one.turn_id == turn_id and one.status == "requested":
                one.status = "expired"


class Watched(RuleBasedStateMachine):
    """One session: its agent, its owner with a browser's rights, the clock and the watchdog."""

    @initialize()
    def begin(self):
        self.clock = time_machine.travel(datetime(2026, 3, 1, 9, tzinfo=UTC), tick=False)
        self.time = self.clock.start()
        owner = make_user()
        self.agent: Agent = agent_of(owner, "write", "read")
        self.person: Agent = agent_of(owner, "control", source="elsewhere")
        self.root = f"sessions/{self.agent.post('sessions', {'agent_name': 'koda'})['id']}"
        self.told, self.seen, self.numbers = Told(), 0, iter(range(10**6))
        self.sent: list[dict[str, Any]] = []

    def teardown(self):
        self.clock.stop()

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def read_on(self) -> None:
        """Fold what the log tells since the last look."""
        log = log_of(self.agent, self.root.removeprefix("sessions/"))
        assert [row["seq"] for row in log] == list(range(1, len(log) + 1))
        for row in log[self.seen :]:
            self.told.take(Logged.of(row))
        self.seen = len(log)

    def handed(self, commands: list[dict[str, Any]], *, is_poll: bool = False) -> None:
        """Hold what was handed over against what should be: each once and in order, to a poll the forgotten as well."""
        late = self.now - timedelta(seconds=30)
        due = [
            one
            for one in self.told.asked
            if one.status == "requested"
            or (is_poll and one.status == "delivered" and one.delivered_at < late
                and one.turn_id in (None, self.told.turn_id))
        ]  # fmt: skip
        assert [(one["id"], one["command"]) for one in commands] == [(one.id, one.body) for one in due]
        for one in due:
            one.status, one.delivered_at = "delivered", self.now

    @rule(events=st.lists(EVENTS, min_size=1, max_size=4))
    def work(self, events):
        named = [{**one, "event_id": str(next(self.numbers))} for one in events]
        answer = self.agent.post(f"{self.root}/events", {"events": named})
        if self.told.refuses([Logged.of(one) for one in named]):
            assert answer.status == 422
            return
        assert (answer.status, answer["stored"]) == (201, len(named))
        self.sent += named
        self.read_on()
        self.handed(answer["commands"])

    @rule(count=st.integers(1, 6))
    def send_again(self, count):
        answer = self.agent.post(f"{self.root}/events", {"events": self.sent[-count:]})
        assert (answer["stored"], answer["duplicates"]) == (0, len(self.sent[-count:]))
        self.handed(answer["commands"])

    @rule(interval=st.sampled_from([None, 10, 60]), progress=st.sampled_from([None, 1, 2, 3]), budget=BUDGETS,
          activity=st.sampled_from([None, "Compiling", "Testing"]))  # fmt: skip
    def beat(self, interval, progress, budget, activity):
        body = {"interval": interval, "progress": progress, "expect_within": budget, "activity": activity}
        answer = self.agent.post(f"{self.root}/heartbeat", {key: one for key, one in body.items() if one is not None})
        self.read_on()
        self.handed(answer["commands"])

    @rule(state=st.sampled_from(["idle", "running", "error"]), turn_id=st.none() | TURNS)
    def say_a_state(self, state, turn_id):
        answer = self.agent.put(f"{self.root}/state", {"state": state, "turn_id": turn_id})
        assert (answer["state"], answer["turn_id"]) == (state, turn_id)
        assert (answer["turn_started_at"] is not None) is (state == "running")
        self.read_on()

    @rule(text=st.sampled_from(["done", ""]))
    def say_a_message(self, text):
        assert self.agent.post(f"{self.root}/messages", {"role": "assistant", "content": text}).status == 201

    @rule(body=ASKED)
    def ask(self, body):
        answer = self.person.post(f"{self.root}/commands", body)
        kind, name = ANSWERS.get(body["type"]), body.get("id", "")
        of_kind = [wait for wait in self.told.waits if (wait.kind, wait.request_id) == (kind, name)]
        still = [wait for wait in of_kind if wait.status == "open"]
        if kind is not None and not still:
            is_another = any(wait.status == "open" and wait.request_id == name for wait in self.told.waits if name)
            assert answer.status == (409 if of_kind else 422 if is_another else 404)
            return
        assert (answer.status, answer["status"]) == (201, "requested")
        if still:
            still[-1].status = "answered"
        outlives = body["type"] in {"user_prompt", "quit"}
        self.told.asked.append(Asked(answer["id"], body, None if outlives else self.told.turn_id))
        self.read_on()

    @rule()
    def poll(self):
        self.handed(self.agent.get(f"{self.root}/commands")["commands"], is_poll=True)

    @precondition(lambda self: self.told.asked)
    @rule(which=st.integers(0, 9), is_obeyed=st.booleans())
    def acknowledge(self, which, is_obeyed):
        one = self.told.asked[which % len(self.told.asked)]
        wanted = "obeyed" if is_obeyed else "refused"
        answer = self.agent.post(f"/api/v1/commands/{one.id}/ack", {"obeyed": is_obeyed})
        if one.status not in {"requested", "delivered", wanted}:
            assert answer.status == 409
            return
        assert (answer.status, answer["status"]) == (200, wanted)
        one.status = wanted

    @rule()
    def release(self):
        is_open = self.told.state == "running" or None in self.told.turns.values()
        answer = self.person.post(f"{self.root}/release")
        assert answer.status == (200 if is_open else 409)

    @rule(seconds=SECONDS)
    def wait(self, seconds):
        self.time.shift(timedelta(seconds=seconds))

    @rule(seconds=SECONDS)
    def wait_and_watch(self, seconds):
        self.wait(seconds)
        for _ in range(3):
            liveness.watch()
        session = self.session()
        assert session.next_deadline_at is None or session.next_deadline_at > self.now
        verdict = liveness.judge(liveness.facts_of(session), self.now)
        assert (session.liveness, session.next_deadline_at) == (verdict.liveness, verdict.next_deadline_at)

    @rule(patience=st.sampled_from([None, 5, 1000]))
    def be_patient(self, patience):
        assert self.agent.patch(self.root, {"stuck_after_secs": patience}).status == 200

    def session(self) -> Session:
        return Session.objects.get(uuid=self.root.removeprefix("sessions/"))

    @invariant()
    def all_agree(self):
        self.read_on()
        session, told = self.session(), self.told
        assert (session.state, session.turn_id, session.needs) == (told.state, told.turn_id, told.needs)
        assert session.liveness == told.liveness
        assert dict(session.turns.values_list("turn_id", "reason")) == told.turns
        calls = list(session.tool_calls.order_by("id").values_list("call_id", "turn_id", "outcome"))
        assert calls == [(call.call_id, call.turn_id, call.outcome) for call in told.calls]
        waits = list(session.requests.order_by("id").values_list("kind", "request_id", "turn_id", "status"))
        assert waits == [(wait.kind, wait.request_id, wait.turn_id, wait.status) for wait in told.waits]
        asked = list(session.commands.order_by("id").values_list("pk", "status"))
        assert asked == [(one.id, one.status) for one in told.asked]
        assert recounting.differences(session) == []

    @invariant()
    def the_live_picture_is_true(self):
        session = self.session()
        if session.state != "running":
            assert session.liveness == "resting"
        elif session.needs:
            assert session.liveness == "live", "who waits for a person is never stuck"
        elif session.progressed_at == self.now and not (session.expected_by and session.expected_by <= self.now):
            assert session.liveness in {"live", "unknown"}
        assert session.state == "running" or session.turn_started_at is None
        assert (session.needs == "") is (session.needs_since is None)


@pytest.mark.slow
@pytest.mark.django_db
def test_random_turns_requests_and_commands_are_what_the_log_tells(settings_of_rates):
    run_state_machine_as_test(
        Watched,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
