"""A session as its log alone tells it; written from contracts/koda.md 4 and API.md, not from the product."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

KOWTOWS = ("User rejected this action", "[rejected by user]", "[rejected:")


class Told(Protocol):
    """An event, wherever it was read."""

    @property
    def type(self) -> str: ...
    @property
    def turn_id(self) -> str | None: ...
    @property
    def payload(self) -> dict[str, Any]: ...


@dataclass
class Call:
    call_id: str
    name: str
    turn_id: str | None
    outcome: str | None = None


@dataclass
class Wait:
    kind: str
    turn_id: str | None
    tool_name: str = ""
    request_id: str = ""
    status: str = "open"


@dataclass
class Folded:
    """What the events so far come to."""

    state: str = "idle"
    turn_id: str | None = None
    liveness: str = "resting"
    title: str | None = None
    is_deleted: bool = False
    turns: dict[str, str | None] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    @property
    def needs(self) -> str:
        return next((wait.kind for wait in self.waits if wait.status == "open"), "")

    def take(self, event: Told) -> None:  # noqa: C901, PLR0912 - one line a type
        here = event.turn_id or self.turn_id
        match event.type:
            case "turn_start":
                self.start(event.turn_id)
            case "turn_end":
                self.end(event.turn_id, event.payload["reason"]["kind"])
            case "tool_call_start":
                self.calls.append(Call(event.payload["id"], event.payload["name"], here))
            case "tool_call_result":
                self.answer(event, here)
            case "approval_request":
                self.waits.append(Wait("approval", here, event.payload["tool_name"], event.payload["id"]))
            case "loop_cap_reached":
                self.waits.append(Wait("loop_decision", here))
            case "ask_user_request":
                self.waits.append(Wait("input", here, request_id=event.payload["id"]))
            case "text_delta" | "thinking_delta" | "response_start" | "thinking_start":
                self.settle([wait for wait in self.waits if wait.turn_id in (here, None)])
            case "server.state_changed":
                self.move(event.payload["state"], event.turn_id)
            case "server.turn_abandoned":
                self.release(event.payload["turn_ids"])
            case "server.liveness_changed":
                assert event.payload["from"] == self.liveness
                self.liveness = event.payload["to"]
            case "server.session_edited":
                self.title = event.payload["changes"].get("title", self.title)
            case "server.session_deleted":
                self.is_deleted = True

    def refuses(self, batch: Sequence[Told]) -> bool:
        """Say whether a batch ends a turn that never began."""
        after = deepcopy(self)
        for one in batch:
            is_named = after.state == "running" and after.turn_id == one.turn_id
            if one.type == "turn_end" and one.turn_id not in after.turns and not is_named:
                return True
            after.take(one)
        return False

    def move(self, state: str, turn_id: str | None) -> None:
        is_left = state != "running" or turn_id not in {None, self.turn_id}
        if self.state == "running" and is_left:
            self.settle([wait for wait in self.waits if wait.turn_id in (self.turn_id, None)])
        self.state, self.turn_id = state, turn_id

    def release(self, turn_ids: Sequence[str]) -> None:
        for turn_id in turn_ids:
            self.close(turn_id, "abandoned")
        for call in self.calls:
            if call.turn_id in (self.turn_id, None) and call.outcome is None:
                call.outcome = "aborted"
        self.settle([wait for wait in self.waits if wait.turn_id in (self.turn_id, None)])
        self.state, self.turn_id = "idle", None

    def start(self, turn_id: str) -> None:
        if self.turns.get(turn_id) is not None:
            return
        for other in [one for one, reason in self.turns.items() if reason is None and one != turn_id]:
            self.close(other, "abandoned")
        if self.turn_id != turn_id:
            self.settle([wait for wait in self.waits if wait.turn_id in (self.turn_id, None)])
        self.turns[turn_id] = None
        self.state, self.turn_id = "running", turn_id

    def end(self, turn_id: str, kind: str) -> None:
        reason = self.turns.get(turn_id)
        if reason is not None and (self.state, self.turn_id) != ("running", turn_id):
            return
        self.close(turn_id, reason or kind)
        if self.turn_id == turn_id:
            self.state, self.turn_id = ("error", turn_id) if kind == "error" else ("idle", None)

    def close(self, turn_id: str, reason: str) -> None:
        self.turns[turn_id] = reason
        for call in self.calls:
            if call.turn_id == turn_id and call.outcome is None:
                call.outcome = "aborted"
        self.settle([wait for wait in self.waits if wait.turn_id in (turn_id, None)])

    def answer(self, event: Told, here: str | None) -> None:
        same = [call for call in self.calls if call.call_id == event.payload["id"]]
        call = next((one for one in reversed(same) if one.outcome is None), same[-1] if same else None)
        if call is None:
            return
        if call.outcome is None:
            text = event.payload["output"]
            call.outcome = "rejected" if text.startswith(KOWTOWS) else "aborted" if text == "[cancelled]" else "success"
        self.settle([wait for wait in self.waits if wait.turn_id in (here, None) and wait.tool_name == call.name])

    def settle(self, waits: list[Wait]) -> None:
        for wait in waits:
            if wait.status == "open":
                wait.status = "expired"
