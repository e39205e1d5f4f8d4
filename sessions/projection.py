"""Checkpoint messages in the words of the common records: what a transcript shows of them, and how a call ended.

The source is contracts/stakpak.md 3. The checkpoints keep each message as it was sent; here it becomes readable. All
here is pure.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sessions.likeness import without_tag
from sessions.models import TOKEN_NAMES, Outcome, TokenCounts, telling_argument
from sessions.models.exact_json import load_loosely
from sessions.models.fields import NAME_BYTES, clean_text, load_written

NO_ROLE = "no role"
"""What is shown for a message that does not say whose it is."""
_ENRICHMENTS = ("local_context", "available_skills", "agents_md", "apps_md")
"""Elements that the client puts behind the words that the person typed."""
_BEGUN = re.compile(f"<({'|'.join(_ENRICHMENTS)})>")
_REJECTED = frozenset({"TOOL_CALL_REJECTED", "Tool call rejected by user"})
_CANCELLED = "TOOL_CALL_CANCELLED"
_SKIPPED = '"skipped"'
_FAILED = re.compile(r"\[[A-Z][A-Z0-9_]+\]|Error\b|Tool '.*' timed out after")
_SERVER_MARK = "__"
"""Stands behind the name of the MCP server before that of a tool (3.3)."""
_LARGEST_COUNT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one checkpoint message tells."""

    role: str
    content: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    usage: TokenCounts | None
    outcome: str | None

    def calls(self) -> list[dict[str, Any]]:
        """Return the calls that it asks for."""
        return [call for call in self.tool_calls or [] if isinstance(call, dict)]


def tell(text: str) -> Told:
    """Return what a message tells; nothing that stands in it can make this fail."""
    value = load_loosely(text)
    message: dict[str, Any] = value if isinstance(value, dict) else {"content": value}
    role, call_id = _word(message.get("role"), longest=NAME_BYTES), message.get("tool_call_id")
    content = _content(message.get("content"))
    if content is not None:
        content = _as_typed(content) if role == "user" else without_tag(content)
    calls = message.get("tool_calls")
    return Told(
        role=role or NO_ROLE,
        content=content,
        tool_calls=calls if isinstance(calls, list) else None,
        tool_call_id=_word(call_id, longest=NAME_BYTES) if isinstance(call_id, str) else None,
        usage=_usage(message.get("usage")) if role == "assistant" else None,
        outcome=outcome_of(content) if role == "tool" else None,
    )


def outcome_of(result: str | None) -> str:
    """Return how a call ended, by the text of its result (3.5 and 9.8)."""
    text = (result or "").strip()
    if text in _REJECTED:
        return Outcome.REJECTED.value
    if _CANCELLED in text or _is_skipped(text):
        return Outcome.ABORTED.value
    return Outcome.FAILED.value if _FAILED.match(text) else Outcome.SUCCESS.value


def _is_skipped(text: str) -> bool:
    if not text.startswith("{") or _SKIPPED not in text[:40]:
        return False
    try:
        return "skipped" in load_written(text)
    except ValueError:
        return False


def _word(value: Any, *, longest: int) -> str:
    """Return a text as a name of at most so many bytes; anything else is none."""
    if not isinstance(value, str):
        return ""
    return clean_text(value).encode()[:longest].decode(errors="ignore")


def _content(content: Any) -> str | None:
    """Return the text of a content: of parts their texts, each on a line, and a word for each picture."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part(part) for part in content)
    return json.dumps(content, ensure_ascii=False)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return json.dumps(part, ensure_ascii=False)
    if isinstance(part.get("text"), str):
        return str(part["text"])
    url = part.get("image_url")
    address = str(url.get("url", "")) if isinstance(url, dict) else ""
    if address.startswith("data:"):
        return f"[{address[5:].partition(';')[0] or 'image'}]"
    return f"[image: {address}]" if address else f"[{part.get('type', 'part')}]"


def _as_typed(content: str) -> str:
    """Return a prompt without what the client put behind it; one that is nothing else stays.

    Each element is looked through once, also where many begin and none ends.
    """
    last = {name: content.rfind(f"</{name}>") for name in _ENRICHMENTS}
    parts, at = [], 0
    for begun in _BEGUN.finditer(content):
        if at <= begun.start() < last[begun[1]]:
            parts.append(content[at : begun.start()].rstrip())
            at = content.index(closing := f"</{begun[1]}>", begun.end()) + len(closing)
    typed = "".join([*parts, content[at:]]).strip()
    return typed if parts and typed else content


def _usage(usage: Any) -> TokenCounts | None:
    """Return the five counts of the client's usage (3.4), None when it says nothing."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    counts = {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "cache_read_tokens": details.get("cache_read_input_tokens"),
        "cache_creation_tokens": details.get("cache_write_input_tokens"),
    }
    told: dict[str, Any] = {name: count for name, count in counts.items() if _is_count(count)}
    return TokenCounts(**told, unknown=frozenset(TOKEN_NAMES).difference(told)) if told else None


def _is_count(count: Any) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _LARGEST_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call without a result: its tool's own name, and the argument that matters."""

    call_id: str
    tool: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a history ends: who spoke last, and which of the last calls are unanswered."""

    role: str | None
    asked: list[Asked]

    @property
    def is_at_rest(self) -> bool:
        """Say whether the agent has nothing more to do: it spoke last and asked for nothing, or nobody spoke."""
        return self.role in {None, "assistant", "system", "developer"} and not self.asked


def ending_of(texts: Sequence[str]) -> Ending:
    """Return how a history ends; only its last messages are looked at, back to what was no tool's."""
    answered: set[str | None] = set()
    for text in reversed(texts):
        told = tell(text)
        if told.role == "tool":
            answered.add(told.tool_call_id)
            continue
        asked = [one for one in _asked(told) if one.call_id not in answered] if told.role == "assistant" else []
        return Ending(role="tool" if answered else told.role, asked=asked)
    return Ending(role="tool" if answered else None, asked=[])


def _asked(told: Told) -> list[Asked]:
    found = []
    for call in told.calls():
        if not isinstance(call.get("id"), str):
            continue
        nested = call.get("function")
        function: dict[str, Any] = nested if isinstance(nested, dict) else {}
        name, detail = str(function.get("name") or "?"), telling_argument(function.get("arguments"))
        tool = name.partition(_SERVER_MARK)[2] or name
        found.append(Asked(call_id=call["id"], tool=tool, detail=detail))
    return found
