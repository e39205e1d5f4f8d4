"""Every scenario, over HTTP with real keys, in travelled time, on whichever database the tests run."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from sessions import liveness
from sessions.models import Lease, Session
from tests.api.calling import agent_of
from tests.factories import make_user
from tests.importers.lines import SESSION, encode, make_answer, make_prompt
from tests.scenarios.playing import ACTIONS, CARRIED, CASES, Play, read, read_all, seen_over_http

BEGINS = datetime(2026, 3, 8, 10, tzinfo=UTC)
"""A week after the times of the lines that are imported."""


class Travelled:
    """The product in this process; its time is moved, and its watchdog looks at every deadline on the way."""

    def __init__(self, clock: Any, folder: Path) -> None:
        self.clock, self.folder = clock, folder
        self.owner = make_user("owner")
        self.callers = {
            "agent": agent_of(self.owner, "write"),
            "person": agent_of(self.owner, "read", "write", "control"),
        }
        self._go(BEGINS)

    def _go(self, to: datetime) -> None:
        """Move to a moment; a server noted all the while that it listens."""
        self.clock.move_to(to, tick=False)
        with transaction.atomic():
            Lease.objects.note_run(liveness.LISTENING, now=to)
        liveness.keep_watch()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def travel_to(self, seconds: float) -> None:
        target = BEGINS + timedelta(seconds=seconds)
        while (due := Session.objects.due(target).first()) is not None:
            assert due.next_deadline_at is not None
            self._go(max(due.next_deadline_at, self.now()))
        self._go(target)

    def restart(self, seconds: float) -> None:
        self.clock.shift(timedelta(seconds=seconds))
        liveness.listen()
        liveness.keep_watch()

    def call(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self.callers[who].call(method, path, body)
        return answer.status, answer.body

    def import_old(self, lines: list[dict[str, Any]]) -> str:
        def block(line: dict[str, Any]) -> dict[str, Any]:
            return {"type": "tool_use", "id": line["call"], "name": "Bash", "input": {"command": "ls"}}

        made = [
            make_prompt(line["text"]) if line["role"] == "user" else make_answer(f"m{number}", block(line))
            for number, line in enumerate(lines)
        ]
        path = self.folder / f"{SESSION}.jsonl"
        path.write_bytes(encode(*made))
        call_command("importsessions", str(path), "--user", "owner", "--json", stdout=StringIO())
        return str(Session.objects.get().uuid)

    def see(self, session_id: str) -> dict[str, Any]:
        seen = seen_over_http(lambda path: self.callers["person"].get(path).body, session_id)
        session = Session.objects.get(uuid=session_id)
        calls = session.tool_calls.order_by("id").values_list("call_id", "outcome")
        requests = session.requests.order_by("id").values_list("kind", "status")
        return {**seen, "calls": [list(row) for row in calls], "requests": [list(row) for row in requests]}


@pytest.mark.django_db
@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_scenario(path, time_machine, tmp_path):
    play = Play(read(path), Travelled(time_machine, tmp_path))
    assert play.run() == []
    assert play.unseen == set()


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_every_scenario_says_what_is_expected_from_its_first_step_on(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    assert case["about"]
    assert case.keys() <= {"about", "sessions", "steps"}
    assert set(CARRIED) <= case["steps"][0]["expect"].keys()
    times = [step["at"] for step in case["steps"]]
    assert times == sorted(times)
    for step in case["steps"]:
        assert step.keys() <= {"at", "on", "expect", "refused", "restart", *ACTIONS}


def test_a_wrong_expectation_is_a_fault(db, time_machine, tmp_path):
    scenario = read(CASES / "normal-turn.json")
    scenario.steps[-1]["expect"] = {"liveness": "lost", "turns": [["t", "error"]]}
    faults = Play(scenario, Travelled(time_machine, tmp_path)).run()
    assert faults == [
        "normal-turn, main at 100000 s: liveness is 'resting', expected 'lost'",
        "normal-turn, main at 100000 s: turns is [['t', 'complete']], expected [['t', 'error']]",
    ]


def test_scenarios_are_found_by_name():
    assert [scenario.name for scenario in read_all(["question", "cancel"])] == ["cancel", "question"]
    with pytest.raises(KeyError, match="nonsense"):
        read_all(["nonsense"])
