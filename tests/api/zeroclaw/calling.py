"""ZeroClaw's door as its client sees it."""

from typing import Any
from urllib.parse import quote

from sessions.models import Session
from tests.api.calling import Agent

ROOT = "/api/zeroclaw"


def at(key: str, rest: str = "") -> str:
    """Return the path of a session, its key encoded to the last sign."""
    return f"{ROOT}/sessions/{quote(key, safe='')}{rest}"


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
