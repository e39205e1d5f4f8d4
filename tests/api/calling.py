"""A client as agents are: JSON in, JSON out, a key in the header; it also holds every error to its form."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from sessions.models import NewKey
from tests.factories import make_key, make_user


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    @property
    def fields(self) -> list[str]:
        """The fields that a problem is about."""
        return [error["field"] for error in self.body.get("errors", [])]


class Agent:
    """Speaks with one key."""

    def __init__(self, key: NewKey | None = None, *, plain: str | None = None, **headers: str) -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        plain = plain or (key.plain if key else None)
        self.headers = {**({"Authorization": f"Bearer {plain}"} if plain else {}), **headers}
        self.key = key

    def call(
        self, method: str, path: str, body: Any = None, *, raw: bytes | str | None = None, **headers: str
    ) -> Answer:
        kind = headers.pop("Content_Type", "application/json")
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = raw if raw is not None else b"" if body is None else json.dumps(body)
        response = self.client.generic(
            method, path if path.startswith("/") else f"/api/v1/{path}", data, content_type=kind,
            headers={**self.headers, **given},
        )  # fmt: skip
        content_type = response.headers["Content-Type"]
        parsed = json.loads(b"".join(response) if response.streaming else response.content)
        if response.status_code >= 400:
            assert content_type == "application/problem+json", response.content
            assert parsed["status"] == response.status_code
            assert {"type", "title", "detail", "code"} <= parsed.keys()
        else:
            assert content_type.startswith("application/json"), content_type
        return Answer(response.status_code, parsed, dict(response.headers))

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("DELETE", path, body, **more)


def agent_of(user: User | None = None, *scopes: str, **facts: Any) -> Agent:
    """Return an agent with a new key of `user`, of all scopes unless some are named; its source is "laptop"."""
    facts = {"source": "laptop", **facts}
    return Agent(make_key(user or make_user(), scopes=scopes or ("write", "read", "control"), **facts))
