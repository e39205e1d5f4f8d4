"""A client of Stakpak's contract by chance: it goes on, goes back, resumes, sends again, forks; an operator purges.

What each model call took is a number of its own, so that a model which only adds them up knows the sum.
"""

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
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

from sessions import recounting
from sessions.models import Checkpoint, Message, Session
from sessions.projection import outcome_of
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.purging import purge
from tests.test_checkpoint_records import fork_of
from tests.test_checkpoints import add, begin, messages_of

PROMPTS = st.sampled_from(["go on", "again"])
WORDS = st.sampled_from(["ok", "ok\n\n", "fine", ""])
RESULTS = st.sampled_from(["done", "Error: no", "TOOL_CALL_CANCELLED"])
MARK = "\n<checkpoint_id>0198c0de-0000-7000-8000-000000000000</checkpoint_id>"
WHICH = st.integers(0, 30)


@dataclass
class Spent:
    """A session as the client knows it: what it sent, and what was spent in it."""

    first: Checkpoint
    history: list[dict[str, Any]]
    sent: list[tuple[Checkpoint, list[dict[str, Any]]]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    calls: set[str] = field(default_factory=set)
    is_purged: bool = False


class Client(RuleBasedStateMachine):
    """One agent at a time, in the session that it has open."""

    @initialize(prompt=PROMPTS)
    def start(self, prompt):
        self.numbers = count(1)
        history = [user(prompt)]
        first = begin(history)
        self.open = Spent(first, history, [(first, history)])
        self.sessions = [self.open]

    def send(self, history: list[dict[str, Any]]) -> None:
        self.open.sent.append((add(self.open.first, history), json.loads(json.dumps(history))))
        self.open.history = history

    @rule(prompt=PROMPTS, words=WORDS, is_asking=st.booleans(), results=RESULTS)
    def take_a_step(self, prompt, words, is_asking, results):
        """Answer what was asked, or let a person speak; then the model answers, in words that it used before."""
        history = settled(self.open.history)
        asked = [one["id"] for one in history[-1].get("tool_calls", [])]
        history += [result(one, results) for one in asked] or [user(prompt)]
        number = next(self.numbers)
        calls = [call(f"c{number}")] if is_asking else []
        self.open.tokens.append(1000 + number)
        self.open.calls |= {one["id"] for one in calls}
        self.send([*history, says(words, *calls, **usage(1000, number))])

    @rule(is_settled=st.booleans())
    def send_again(self, is_settled):
        self.send(settled(self.open.history) if is_settled else self.open.history)

    @rule(at=WHICH)
    def go_back(self, at):
        """Leave out all from a message of a person on; what is sent next has another ending."""
        prompts = [index for index, one in enumerate(self.open.history) if one["role"] == "user"]
        self.open.history = settled(self.open.history)[: prompts[at % len(prompts)] + 1]

    @rule(at=WHICH, is_spoken=st.booleans())
    def resume(self, at, is_spoken):
        """Load a checkpoint; the last answer has a mark from then on, and what was told of its tokens."""
        history = messages_of(self.open.sent[at % len(self.open.sent)][0])
        answers = [index for index, one in enumerate(history) if one["role"] == "assistant"]
        if answers:
            last = history[answers[-1]]
            history[answers[-1]] = {**last, "content": (last["content"] or "") + MARK}
        self.open.history = history
        if is_spoken:
            self.send([*history, user("resumed")])

    @rule(at=WHICH)
    def leave_out(self, at):
        """Send the reduced history that autopilot sends right before a model call (3.6), and keep the whole one."""
        whole = self.open.history
        self.send([user("[trimmed]"), *whole[at % len(whole) :]])
        self.open.history = whole

    @precondition(lambda self: len(self.sessions) < 3)
    @rule(at=WHICH)
    def fork(self, at):
        made = fork_of(self.open.sent[at % len(self.open.sent)][0])
        first = Checkpoint.objects.get(session=made)
        history = messages_of(first)
        self.open = Spent(first, history, [(first, history)], calls=ids_of(history))
        self.sessions.append(self.open)

    @rule(which=WHICH)
    def open_another(self, which):
        self.open = self.sessions[which % len(self.sessions)]

    @rule()
    def purge_what_is_archived(self):
        purge("compacted")
        for one in self.sessions:
            one.is_purged = True

    @invariant()
    def nothing_counts_twice_and_nothing_is_lost(self):
        for one in getattr(self, "sessions", []):
            session = Session.objects.get(pk=one.first.session_id)
            assert (session.total_tokens, session.api_call_count) == (sum(one.tokens), len(one.tokens))
            assert session.tool_call_count == len(one.calls)
            assert recounting.differences(session) == []

    @invariant()
    def the_newest_checkpoint_is_what_is_shown(self):
        for one in getattr(self, "sessions", []):
            checkpoint, history = one.sent[-1]
            rows = list(Message.objects.of(checkpoint.session_id).unarchived())
            assert [row.role for row in rows] == [message["role"] for message in history]
            ended = {message["tool_call_id"]: outcome_of(message["content"]) for message in history[::-1]
                     if message["role"] == "tool"}  # fmt: skip
            asked = ids_of(history)
            told = {row.call_id: row.outcome for row in checkpoint.session.tool_calls.filter(message__in=rows)}
            assert told.keys() == asked
            assert {name: told[name] for name in ended.keys() & asked} == {
                name: ended[name] for name in ended.keys() & asked
            }

    def teardown(self):
        for one in getattr(self, "sessions", []):
            for checkpoint, history in one.sent:
                assert messages_of(checkpoint) == history


def settled(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a history as it was streamed: without tokens and line ends."""
    return [
        {name: part.rstrip("\n") if name == "content" else part for name, part in message.items() if name != "usage"}
        for message in history
    ]


def ids_of(history: list[dict[str, Any]]) -> set[str]:
    return {one["id"] for message in history for one in message.get("tool_calls", [])}


@pytest.mark.django_db
def test_a_client_that_goes_back_and_forth_is_counted_once():
    run_state_machine_as_test(
        Client,
        settings=settings(
            max_examples=12, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
