"""Lines as Claude Code writes them, of our own making."""

import json
from itertools import count
from typing import Any

SESSION = "5b1f0c1e-7d55-4f39-9f0a-3a0c6f6b1d01"
_numbers = count(1)


def encode(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def make_line(kind: str, **fields: Any) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "type": kind,
        "uuid": f"line-{number}",
        "parentUuid": None,
        "isSidechain": False,
        "sessionId": SESSION,
        "cwd": "/home/me/lighthouse",
        "timestamp": f"2026-03-01T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
        **fields,
    }


def make_prompt(words: str, **fields: Any) -> dict[str, Any]:
    return make_line("user", message={"role": "user", "content": words}, **fields)


def make_result(
    call_id: str | None, content: Any = "done", *, is_error: bool | None = None, **fields: Any
) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": is_error}
    block = {name: value for name, value in block.items() if value is not None}
    return make_line("user", message={"role": "user", "content": [block]}, **fields)


def make_answer(
    message_id: str, block: dict[str, Any], *, output: int = 5, model: str = "claude-test-1", **fields: Any
) -> dict[str, Any]:
    usage = {
        "input_tokens": 10,
        "output_tokens": output,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 100,
        "iterations": [{"input_tokens": 10, "output_tokens": output}],
    }
    message = {"id": message_id, "role": "assistant", "model": model, "content": [block], "usage": usage}
    return make_line("assistant", requestId=f"req-{message_id}", message=message, **fields)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": "c2lnbg=="}


def call(call_id: str, name: str = "Bash", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments or {"command": "make"}}
