"""ZeroClaw's door as its client sees it."""

from typing import Any
from urllib.parse import quote

from asgiref.sync import async_to_sync
from django.test import AsyncClient

from sessions.models import Session
from tests.api.calling import Agent

ROOT = "/api/zeroclaw"


class WireClient(AsyncClient):
    """Gives the application paths as a server does: decoded, and beside that as they were sent."""

    def generic(self, method: str, path: str, data: Any = "", *more: Any, **headers: Any) -> Any:
        self.raw_path = path.partition("?")[0].encode()

        async def send() -> Any:
            return await super(WireClient, self).generic(method, path, data, *more, **headers)

        return async_to_sync(send)()

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        return {**super()._base_scope(**request), "raw_path": self.raw_path}


def on_the_wire(agent: Agent) -> Agent:
    """Return the agent, whose paths now arrive as they do over the network."""
    agent.client = WireClient(raise_request_exception=False)  # type: ignore[assignment]
    return agent


def at(key: str, rest: str = "") -> str:
    """Return the path of a session, its key encoded to the last sign."""
    return f"{ROOT}/sessions/{quote(key, safe='').replace('.', '%2E')}{rest}"


def say(agent: Agent, key: str = "k", content: str = "hello", *, role: str = "user", **more: Any) -> int:
    answer = agent.post(at(key, "/messages"), {"role": role, "content": content, **more})
    assert answer.status == 201, answer
    return answer["message_count"]


def messages_of(agent: Agent, key: str = "k") -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in agent.get(at(key, "/messages"))["messages"]]


def keys_of(agent: Agent, query: str = "") -> list[str]:
    return [one["key"] for one in agent.get(f"{ROOT}/sessions{query}")["sessions"]]


def session_of(key: str = "k") -> Session:
    return Session.objects.active().get(key=key)
