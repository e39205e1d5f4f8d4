"""Agents of a bad day: they take turns, and send each thing until the server has said that it is stored."""

import asyncio
import random
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

FLOODS, FLOOD_EVENTS, FLOOD_CHARACTERS = 5, 10, 100_000
PAUSE_SECONDS = 0.2  # of a writer, so that two hundred readers and four writers fit on a small machine


@dataclass
class TurnTaker:
    """An agent that sends each thing until the server has said that it is stored."""

    client: httpx.AsyncClient
    session: str
    events: list[str] = field(default_factory=list)
    """Ids of the events that were acknowledged."""
    messages: list[int] = field(default_factory=list)
    has_ended: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self) -> None:
        turn = 0
        while not self.is_over.is_set():
            await self.take_turn(f"turn-{turn}")
            turn += 1
        self.has_ended = True

    async def take_turn(self, turn: str) -> None:
        """Run one turn with two tool calls, one of which stays without a result."""
        told = {"turn_id": turn}
        await self.tell({"type": "turn_start", **told})
        deltas = [uuid.uuid4().hex for _ in range(3)]
        await self.tell(*({"type": "text_delta", "text": f"{name} ", "event_id": name, **told} for name in deltas))
        calls = [f"{turn}-a", f"{turn}-b"]
        await self.say(
            "assistant", tool_calls=[{"id": one, "function_name": "Read", "arguments": "{}"} for one in calls]
        )
        await self.tell(*({"type": "tool_call_start", "id": one, "name": "Read", "args": {}, **told} for one in calls))
        await self.tell({"type": "tool_call_result", "id": calls[0], "name": "Read", "output": "fine", **told})
        await self.say("tool", content="fine", tool_call_id=calls[0])
        reason = random.choice([{"kind": "complete"}, {"kind": "cancelled"}, {"kind": "error", "message": "m"}])
        await self.tell({"type": "turn_end", "reason": reason, **told})

    async def flood(self) -> None:
        """Say more than the buffers of the machine hold."""
        for _ in range(FLOODS):
            await self.tell(*[{"type": "info", "message": "x" * FLOOD_CHARACTERS}] * FLOOD_EVENTS)

    async def tell(self, *events: dict[str, Any]) -> None:
        named = [{"event_id": uuid.uuid4().hex, **event} for event in events]
        await self._send("events", {"events": named})
        self.events += [event["event_id"] for event in named]

    async def say(self, role: str, **facts: Any) -> None:
        answer = await self._send("messages", {"role": role, "client_id": uuid.uuid4().hex, **facts})
        self.messages += answer["ids"]

    async def _send(self, what: str, body: dict[str, Any]) -> Any:
        while True:
            try:
                answer = await self.client.post(f"/api/v1/sessions/{self.session}/{what}", json=body)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if answer.status_code == 201:
                await asyncio.sleep(PAUSE_SECONDS)
                return answer.json()
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(PAUSE_SECONDS)


async def start(client: httpx.AsyncClient) -> TurnTaker:
    """Begin a session with an agent that works on it."""
    answer = await client.post("/api/v1/sessions", json={"agent_name": "koda", "title": "Chaos"})
    assert answer.status_code == 201, answer.text
    return TurnTaker(client, answer.json()["id"])
