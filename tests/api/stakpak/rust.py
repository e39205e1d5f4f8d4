"""The client's own reading of answers, as strict as its Rust types (contracts/stakpak.md 1.12, 2.4).

What its serde refuses is refused here; the storage error that it would make of an answer is made here.
"""

import json
import re
import uuid
from datetime import datetime
from typing import Any


class DecodeFailure(Exception):
    """The client could not make sense of a 2xx answer."""


class StorageError(Exception):
    """What the client's caller gets; `kind` is the variant's name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


U32 = 2**32
ROLES = {"system", "developer", "user", "assistant", "tool"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def need(is_so: bool, what: str) -> None:
    if not is_so:
        raise DecodeFailure(what)


def text(value: Any, at: str) -> str:
    need(isinstance(value, str), f"{at}: {value!r} is no string")
    return value


def count(value: Any, at: str) -> int:
    need(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < U32, f"{at}: {value!r} is no u32")
    return value


def uuid_(value: Any, at: str) -> str:
    text(value, at)
    try:
        uuid.UUID(value)
    except ValueError:
        raise DecodeFailure(f"{at}: {value!r} is no UUID") from None
    return value


def moment(value: Any, at: str) -> datetime:
    need(RFC3339.fullmatch(text(value, at)) is not None, f"{at}: {value!r} is no RFC 3339 with offset")
    return datetime.fromisoformat(value)


def one_of(*words: str):
    def read(value: Any, at: str) -> str:
        need(value in words, f"{at}: unknown variant {value!r}")
        return value

    return read


def anything(value: Any, _at: str) -> Any:
    return value


def optional(read):
    return lambda value, at: None if value is None else read(value, at)


def array(read):
    def read_all(value: Any, at: str) -> list[Any]:
        need(isinstance(value, list), f"{at}: {value!r} is no sequence")
        return [read(item, f"{at}[{index}]") for index, item in enumerate(value)]

    return read_all


def struct(required: dict[str, Any], **absent_ok: Any):
    """Fields in `required` must be there; the others may be absent or null. Unknown ones are passed over."""

    def read(value: Any, at: str) -> dict[str, Any]:
        need(isinstance(value, dict), f"{at}: {value!r} is no struct")
        for name in required:
            need(name in value, f"{at}: missing field `{name}`")
        found = {name: kind(value[name], f"{at}.{name}") for name, kind in required.items()}
        return found | {name: optional(kind)(value.get(name), f"{at}.{name}") for name, kind in absent_ok.items()}

    return read


def state(value: Any, at: str) -> dict[str, Any]:
    need(isinstance(value, dict), f"{at}: {value!r} is no struct")
    found = {"messages": array(message)(value.get("messages", []), f"{at}.messages")}
    return found if value.get("metadata") is None else {**found, "metadata": value["metadata"]}


USAGE = struct({"prompt_tokens": count, "completion_tokens": count, "total_tokens": count})
CALL = struct({"id": text, "type": text, "function": struct({"name": text, "arguments": text})}, metadata=anything)
PART = struct({"type": text}, text=text, image_url=struct({"url": text}, detail=text))


def content(value: Any, at: str) -> Any:
    return value if isinstance(value, str) else array(PART)(value, at)


message = struct(
    {"role": one_of(*ROLES)},
    content=content, name=text, tool_calls=array(CALL), tool_call_id=text, usage=USAGE, id=text, metadata=anything,
)  # fmt: skip
VISIBILITY, STATUS = one_of("PRIVATE", "PUBLIC"), one_of("ACTIVE", "DELETED")
CHECKPOINT = struct(
    {"id": uuid_, "session_id": uuid_, "state": state, "created_at": moment, "updated_at": moment}, parent_id=uuid_
)
CHECKPOINT_SUMMARY = struct(
    {"id": uuid_, "session_id": uuid_, "message_count": count, "created_at": moment, "updated_at": moment},
    parent_id=uuid_, state=state,
)  # fmt: skip
_OF_BOTH = {
    "id": uuid_, "title": text, "visibility": VISIBILITY, "status": STATUS, "created_at": moment, "updated_at": moment,
}  # fmt: skip
SUMMARY = struct({**_OF_BOTH, "message_count": count, "active_checkpoint_id": uuid_}, cwd=text, last_message_at=moment)
SESSION = struct(_OF_BOTH, cwd=text, deleted_at=moment, active_checkpoint=CHECKPOINT)
ACCOUNT = struct(
    dict.fromkeys(("username", "id", "first_name", "last_name", "email"), text),
    scope=struct({"type": text, "name": text}),
)
RULES = struct({"results": array(anything)})

CREATED = struct({"session_id": uuid_, "checkpoint": CHECKPOINT})
SESSIONS = struct({"sessions": array(SUMMARY)})
ONE_SESSION = struct({"session": SESSION})
CHECKPOINTS = struct({"checkpoints": array(CHECKPOINT_SUMMARY)})
ONE_CHECKPOINT = struct({"checkpoint": CHECKPOINT})

_WORDS = (
    ("NotFound", ("not found", "Not found")),
    ("Unauthorized", ("unauthorized", "Unauthorized", "401")),
    ("RateLimited", ("rate limit", "Rate limit", "429")),
    ("InvalidRequest", ("invalid", "Invalid", "400")),
)


def read_answer(status: int, reason: str, body: bytes, read, *, url: str = "http://x/v1") -> Any:
    """Return what the client makes of an answer. Raises `StorageError` as it would."""
    raw = body.decode()
    if not 200 <= status < 300:
        raise storage_error(_failure(status, reason, raw))
    if read is None:
        return None
    try:
        return read(json.loads(raw), "answer")
    except (DecodeFailure, ValueError) as error:
        raise storage_error(f"Failed to decode response from {url} (status {status}): {error} | {raw[:500]}") from error


def _failure(status: int, reason: str, raw: str) -> str:
    try:
        error = json.loads(raw)["error"]
        if isinstance(error["key"], str) and isinstance(error["message"], str):
            return error["message"]
    except (ValueError, KeyError, TypeError):
        pass
    return f"API error {status} {reason}: {raw}"


def storage_error(message_: str) -> StorageError:
    kind = next((kind for kind, words in _WORDS if any(word in message_ for word in words)), "Internal")
    return StorageError(kind, message_)
