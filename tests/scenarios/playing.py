"""Plays scenarios against a world: the server that is tested, however it is reached, and whoever makes its time pass.

Needs nothing but the standard library, so that it runs against any server. The format is in docs/scenarios.md.
"""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

CASES = Path(__file__).parent / "cases"
CARRIED = ("state", "liveness", "needs", "findings")
"""What is expected after every step: what a step does not say is as it was after the step before."""
ACTIONS = ("import", "state", "messages", "events", "heartbeat", "command", "release", "patch")
"""What a step may do to a session, in the order in which it is done."""
_REQUESTS = {
    "state": ("agent", "PUT", "/state", ""),
    "messages": ("agent", "POST", "/messages", "messages"),
    "events": ("agent", "POST", "/events", "events"),
    "heartbeat": ("agent", "POST", "/heartbeat", ""),
    "command": ("person", "POST", "/commands", ""),
    "release": ("person", "POST", "/release", ""),
    "patch": ("person", "PATCH", "", ""),
}
"""Who sends each action, how, where below the session, and the name under which its body stands."""
_AGE = re.compile(r"(?:\d+ h )?(?:\d+ m )?\d+ [sm]\b")
_RELATIVE = re.compile(r"@([+-]\d+)")


class World(Protocol):
    """A server, and its time."""

    def travel_to(self, seconds: float) -> None:
        """Let the time be `seconds` since the scenario began, the server awake and watching all the while."""

    def restart(self, seconds: float) -> None:
        """Let no server listen for `seconds`."""

    def now(self) -> datetime:
        """Return the time."""

    def call(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request below /api/v1/ as the "agent" or the "person"; return status and JSON."""

    def import_old(self, lines: list[dict[str, Any]]) -> str:
        """Import what another program kept; return the session's id."""

    def see(self, session_id: str) -> dict[str, Any]:
        """Return what can be seen of a session, by the words of expectations."""


class NotPossibleHere(Exception):
    """This world cannot do what the scenario asks for."""


@dataclass(frozen=True)
class Scenario:
    """A list of timed steps."""

    name: str
    about: str
    sessions: list[str]
    steps: list[dict[str, Any]]

    def until(self, seconds: float) -> "Scenario":
        """Return the steps up to a moment."""
        return replace(self, steps=[step for step in self.steps if step["at"] <= seconds])


def read_all(names: Iterable[str] = ()) -> list[Scenario]:
    """Return the named scenarios, or all of them."""
    wanted = set(names)
    paths = [path for path in sorted(CASES.glob("*.json")) if not wanted or path.stem in wanted]
    if missing := wanted - {path.stem for path in paths}:
        raise KeyError(f"There is no scenario {', '.join(sorted(missing))}.")
    return [read(path) for path in paths]


def read(path: Path) -> Scenario:
    """Return the scenario of a file."""
    case = json.loads(path.read_text(encoding="utf-8"))
    return Scenario(path.stem, case["about"], case.get("sessions", ["main"]), case["steps"])


@dataclass
class Play:
    """One scenario being played; `faults` says in words what was not as expected."""

    scenario: Scenario
    world: World
    settles_within: float = 0.0
    """Seconds for which what is not yet as expected is looked at again; ages in words then count as equal."""
    ids: dict[str, str] = field(default_factory=dict)
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    """Words of expectations that this world could not see."""

    def run(self) -> list[str]:
        """Play all steps and return the faults."""
        for step in self.scenario.steps:
            self.world.travel_to(step["at"])
            if "restart" in step:
                self.world.restart(step["restart"])
            sessions = step.get("on", self.scenario.sessions)
            said = {session: self._act_all(session, step) for session in sessions}
            for session in sessions:
                self._check(session, step, said[session])
        return self.faults

    def _act_all(self, session: str, step: dict[str, Any]) -> dict[str, Any]:
        """Do all that a step does to a session; return what the answers said."""
        said: dict[str, Any] = {"handed_over": [], "stored": 0}
        for action in ACTIONS:
            if action == "import" and action in step:
                self.ids[session] = self.world.import_old(step["import"])
            elif action in step:
                self._act(session, action, step, said)
        return said

    def _check(self, session: str, step: dict[str, Any], said: dict[str, Any]) -> None:
        """Compare what is seen of a session, and was said to it, with what is expected."""
        expected = {**self.expected.get(session, {}), **step.get("expect", {})}
        self.expected[session] = {word: expected[word] for word in CARRIED if word in expected}
        deadline = time.monotonic() + self.settles_within
        differences = self._differences(session, expected, said)
        while differences and time.monotonic() < deadline:
            time.sleep(0.2)
            differences = self._differences(session, expected, said)
        where = f"{self.scenario.name}, {session} at {step['at']} s"
        self.faults += [f"{where}: {difference}" for difference in differences]

    def _differences(self, session: str, expected: dict[str, Any], said: dict[str, Any]) -> list[str]:
        """Look, and return in words what is not as expected."""
        seen = {**self.world.see(self._id(session)), **said}
        self.unseen |= expected.keys() - seen.keys()
        pairs = [(word, seen[word], value) for word, value in expected.items() if word in seen]
        return [f"{word} is {now!r}, expected {value!r}" for word, now, value in pairs if not self._is_as(now, value)]

    def _is_as(self, now: Any, value: Any) -> bool:
        """Say whether something is as expected."""
        if self.settles_within and isinstance(now, str) and isinstance(value, str):
            return _AGE.sub("", now) == _AGE.sub("", value)
        return bool(now == value)

    def _act(self, session: str, action: str, step: dict[str, Any], said: dict[str, Any]) -> None:
        who, method, path, name = _REQUESTS[action]
        body = self._with_times(step[action])
        body = None if action == "release" else {name: body} if name else body
        path = f"sessions/{self._id(session)}{path}"
        status, answer = self.world.call(who, method, path, body)
        expected = step.get("refused", 0)
        if (status != expected) if expected else status >= 300:
            self.faults.append(f"{self.scenario.name} at {step['at']} s: {method} {path} was {status}: {answer}")
        if isinstance(answer, dict):
            said["handed_over"] += [command["command"]["type"] for command in answer.get("commands", [])]
            said["stored"] += answer.get("stored", 0)

    def _id(self, session: str) -> str:
        """Return the id of a session, which is made when it is first spoken of."""
        if session not in self.ids:
            title = f"{self.scenario.name}: {session}"
            status, answer = self.world.call("agent", "POST", "sessions", {"agent_name": "scenario", "title": title})
            if status != 201:
                raise RuntimeError(f"No session could be made: {status} {answer}")
            self.ids[session] = answer["id"]
        return self.ids[session]

    def _with_times(self, value: Any) -> Any:
        """Return `value` with "@+3600" as the time in an hour, as the agent's clock would have it."""
        if isinstance(value, dict):
            return {name: self._with_times(inside) for name, inside in value.items()}
        if isinstance(value, list):
            return [self._with_times(inside) for inside in value]
        found = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
        return (self.world.now() + timedelta(seconds=int(found[1]))).isoformat() if found else value


def seen_over_http(get: Any, session_id: str) -> dict[str, Any]:
    """Return what an owner sees of a session through the API; `get(path)` returns the JSON of an answer."""
    session = get(f"sessions/{session_id}")
    turns = get(f"sessions/{session_id}/turns?limit=500")["items"]
    log = get(f"sessions/{session_id}/events?limit=500")["items"]
    changes = [event for event in log if event["type"] == "server.liveness_changed"]
    incidents = [incident for incident in get("incidents")["items"] if session["source"] == incident["source"]]
    return {
        "state": session["state"],
        "liveness": session["liveness"],
        "needs": session["needs"],
        "reason": session["liveness_reason"],
        "findings": [finding["kind"] for finding in get(f"sessions/{session_id}/findings")["items"]],
        "turns": [[turn["turn_id"], (turn["reason"] or {}).get("kind")] for turn in turns],
        "changes": [f"{event['from']}>{event['to']}" for event in changes],
        "incidents": [incident["count"] for incident in incidents],
    }
