"""A thousand scripted sessions: no false "stuck", and every true hang flagged within one check of its deadline."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop
from math import ceil

import pytest

from sessions import commands, liveness, protocol
from sessions.models import Event, Session
from tests.factories import make_events, make_session, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHECK_EVERY = 1.0
COUNT = 1000
INTERVAL = 30
STUCK_AFTER, LOST_AFTER = 300, 90
ALARMS = ("stuck", "lost")
ROUNDING = 1e-4
Step = tuple[float, str, dict]


@dataclass
class Script:
    """What one agent does, by seconds; and when, if ever, it is truly adrift, by LIVENESS.md and not by the product."""

    dice: random.Random
    has_heartbeats: bool
    at: float
    """When it last made progress."""
    steps: list[Step] = field(default_factory=list)
    alarm: tuple[float, str] | None = None

    def pause(self) -> float:
        """Return a pause that is no alarm yet."""
        return self.dice.uniform(1, (LOST_AFTER if self.has_heartbeats else STUCK_AFTER) - 5)

    def do(self, **event) -> None:
        self.steps.append((self.at, "events", event))

    def beat(self, until: float) -> None:
        """Send the heartbeats up to a moment, if it sends any."""
        if self.has_heartbeats:
            beats = range(INTERVAL, int(until - self.at), INTERVAL)
            self.steps += [(self.at + seconds, "heartbeat", {}) for seconds in beats]

    def call(self, name: str, seconds: float, **more) -> None:
        self.at += self.pause()
        self.do(type="tool_call_start", id=name, name="Bash", args={"name": name}, **more)
        self.beat(self.at + seconds)
        self.at += seconds
        self.do(type="tool_call_result", id=name, output="ok")

    def wait_for_approval(self, name: str) -> None:
        self.at += self.pause()
        self.do(type="approval_request", id=name, tool_name="Bash")
        self.at += self.dice.uniform(400, 4000)
        self.steps.append((self.at, "command", {"id": name}))
        self.at += self.pause()
        self.do(type="info", message="thanks")

    def end(self) -> None:
        self.at += self.dice.uniform(1, 60)
        kind = self.dice.choice(["complete", "cancelled", "error"])
        self.do(type="turn_end", turn_id="t", reason={"kind": kind})

    def ask(self) -> None:
        self.at += self.dice.uniform(1, 60)
        self.do(type="ask_user_request", id="q", question="?")

    def die(self) -> None:
        self.alarm = (self.at + LOST_AFTER, "lost") if self.has_heartbeats else (self.at + STUCK_AFTER, "stuck")

    def hang(self) -> None:
        """Go on with heartbeats, and with nothing else."""
        self.alarm = (self.at + STUCK_AFTER, "stuck")
        self.beat(self.at + STUCK_AFTER + INTERVAL)


def write_script(dice: random.Random) -> Script:
    """Return a script: some steps with pauses that are not too long, and then an end, a wait, a death or a hang."""
    script = Script(dice, has_heartbeats=dice.random() < 0.4, at=dice.uniform(0, 60))
    script.do(type="turn_start", turn_id="t")
    if script.has_heartbeats:
        script.steps.append((script.at, "heartbeat", {"interval_seconds": INTERVAL}))
    for number in range(dice.randint(0, 2)):
        name = f"n{number}"
        match dice.choice(["short", "declared", "approval"]):
            case "short":
                script.call(name, script.pause())
            case "declared":
                script.call(name, dice.uniform(300, 590), expect_within=600)
            case _:
                script.wait_for_approval(name)
    dice.choice([script.end, script.end, script.ask, script.die, script.hang])()
    return script


def act(session: Session, kind: str, what: dict, now: datetime) -> None:
    if kind == "events":
        make_events(session, what, now=now)
    elif kind == "heartbeat":
        protocol.heartbeat(session.pk, now=now, **what)
    else:
        answer = {"type": "approval_response", "id": what["id"], "decision": {"decision": "approve"}}
        commands.ask(session.pk, answer, by=None, now=now)


def find_next_look() -> float | None:
    """Return the next whole second at which the watchdog finds something due; in between it would change nothing."""
    due = Session.objects.filter(next_deadline_at__isnull=False).order_by("next_deadline_at")
    at = due.values_list("next_deadline_at", flat=True).first()
    return None if at is None else ceil((at - T0).total_seconds() / CHECK_EVERY) * CHECK_EVERY


def play(scripts: list[Script], sessions: list[Session]) -> None:
    """Let all scripts happen in the order of time, and the watchdog look in between, until nothing is due for a day.

    Who is waited for is reminded day after day, without an end.
    """
    over = max(at for script in scripts for at, _, _ in script.steps) + timedelta(days=1).total_seconds()
    todo = [
        (at, order, number, kind, what)
        for number, script in enumerate(scripts)
        for order, (at, kind, what) in enumerate(script.steps)
    ]
    heapify(todo)
    while True:
        look = find_next_look()
        if look is not None and look > over:
            return
        if look is not None and (not todo or look <= todo[0][0]):
            while liveness.watch(now=T0 + timedelta(seconds=look)).due:
                pass
        elif todo:
            at, _, number, kind, what = heappop(todo)
            act(sessions[number], kind, what, T0 + timedelta(seconds=at))
        else:
            return


def find_alarms() -> dict[int, list[tuple[float, str]]]:
    """Return when each session was told to be stuck or lost."""
    alarms: dict[int, list[tuple[float, str]]] = {}
    for event in Event.objects.liveness_changes().order_by("pk"):
        if event.payload["to"] in ALARMS:
            told = ((event.received_at - T0).total_seconds(), event.payload["to"])
            alarms.setdefault(event.session_id, []).append(told)
    return alarms


def test_no_false_alarm_and_every_true_one_in_time():
    dice = random.Random(4)
    scripts = [write_script(dice) for _ in range(COUNT)]
    owner = make_user()
    sessions = [make_session(owner) for _ in scripts]
    play(scripts, sessions)

    alarms = find_alarms()
    false = [session.pk for script, session in zip(scripts, sessions, strict=True)
             if script.alarm is None and session.pk in alarms]  # fmt: skip
    assert false == []
    for script, session in zip(scripts, sessions, strict=True):
        if script.alarm is not None:
            (moment, word), (told_at, told) = script.alarm, alarms[session.pk][0]
            assert told == word, script
            assert moment - ROUNDING <= told_at <= moment + CHECK_EVERY + ROUNDING, script
    assert sum(script.alarm is not None for script in scripts) > COUNT / 5
