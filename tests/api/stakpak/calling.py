"""Stakpak's storage as its client has it: the methods of the trait over this server's door."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.test import Client

from tests.api.stakpak import rust
from tests.factories import make_key, make_user


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def says(content: str | None, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {}), **more}


def call(call_id: str, name: str = "stakpak__run_command", arguments: str = '{"command":"ls"}') -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(call_id: str, content: str = "done") -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def usage(prompt: int, completion: int, **details: int) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"usage": {**counts, **({"prompt_tokens_details": details} if details else {})}}


class Storage:
    """StakpakStorage of one key. Every answer is read as the Rust client reads it."""

    def __init__(self, plain: str, *, root: str = "/v1") -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self.plain, self.root = plain, root
        self.status = 0
        self.raw = b""
        self.headers: dict[str, str] = {}

    def send(self, method: str, path: str, body: Any = None, *, read: Any = None, raw: bytes | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.plain}", "User-Agent": "Stakpak/0.3.88"}
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        kind = "application/json" if data else ""
        response = self.client.generic(
            method, f"http://testserver{self.root}{path}", data, content_type=kind, headers=headers
        )
        self.status, self.raw, self.headers = response.status_code, response.content, dict(response.headers)
        assert not 300 <= self.status < 400, "a redirect turns POST into GET"
        assert response.headers["Content-Type"].startswith("application/json"), response.content
        return rust.read_answer(self.status, HTTPStatus(self.status).phrase, response.content, read)

    def create_session(self, title: str = "Fix the build", messages: list[Any] | None = None, **more: Any) -> Any:
        body = {"title": title, "visibility": "PRIVATE", "state": {"messages": messages or []}, **more}
        return self.send("POST", "/sessions", body, read=rust.CREATED)

    def list_sessions(self, **query: Any) -> list[dict[str, Any]]:
        return self.send("GET", f"/sessions?{urlencode(query)}", read=rust.SESSIONS)["sessions"]

    def get_session(self, session_id: Any) -> Any:
        return self.send("GET", f"/sessions/{session_id}", read=rust.ONE_SESSION)["session"]

    def update_session(self, session_id: Any, **changes: Any) -> Any:
        return self.send("PATCH", f"/sessions/{session_id}", changes, read=rust.ONE_SESSION)["session"]

    def delete_session(self, session_id: Any) -> None:
        self.send("DELETE", f"/sessions/{session_id}")

    def list_checkpoints(self, session_id: Any, **query: Any) -> list[dict[str, Any]]:
        path = f"/sessions/{session_id}/checkpoints?{urlencode(query)}"
        return self.send("GET", path, read=rust.CHECKPOINTS)["checkpoints"]

    def create_checkpoint(self, session_id: Any, messages: list[Any], parent: Any = None, **state: Any) -> Any:
        body = {"state": {"messages": messages, **state}, **({"parent_id": parent} if parent else {})}
        path = f"/sessions/{session_id}/checkpoints"
        return self.send("POST", path, body, read=rust.ONE_CHECKPOINT)["checkpoint"]

    def get_checkpoint(self, checkpoint_id: Any) -> Any:
        return self.send("GET", f"/sessions/checkpoints/{checkpoint_id}", read=rust.ONE_CHECKPOINT)["checkpoint"]


def storage_of(owner: User | None = None, *scopes: str, **facts: Any) -> Storage:
    """Return the storage of a new key that may read and write, unless scopes are named."""
    return Storage(make_key(owner or make_user(), scopes=scopes or ("read", "write"), source="laptop", **facts).plain)
