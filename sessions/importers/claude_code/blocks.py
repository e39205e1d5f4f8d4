"""Content blocks of a message to text and tool calls. What has no text is named, so that nothing vanishes unseen."""

import json
from collections.abc import Mapping

from sessions.importers.fields import JsonObject, identifier, inner, text
from sessions.importers.records import AnswerPart, ToolCall, Usage


def blocks(content: object) -> list[JsonObject]:
    """Return the blocks of a content that may be one text, a list of blocks, or anything else."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return []
    return [{"type": "text", "text": item} if isinstance(item, str) else item for item in content if _is_block(item)]


def _is_block(item: object) -> bool:
    """Say whether an element of a content list can be shown."""
    return isinstance(item, dict | str)


def shown(content: list[JsonObject]) -> str:
    """Return the blocks as text, a blank line between them."""
    return "\n\n".join(map(_shown_block, content))


def _shown_block(block: JsonObject) -> str:
    """Return one block as text; a block that is none says what it was."""
    kind = text(block, "type") or "block"
    if isinstance(block.get("text"), str) and (kind == "text" or block.get("type") is None):
        return str(block["text"])
    if kind in {"image", "document"}:
        return f"[{kind}: {text(inner(block, 'source'), 'media_type') or 'unknown type'}]"
    if kind == "tool_reference":
        return f"[tool: {text(block, 'tool_name') or 'unnamed'}]"
    return json.dumps(block, ensure_ascii=False)


def answer_part(content: list[JsonObject], *, index: int, line_id: str, usage: Usage | None) -> AnswerPart:
    """Return what one assistant line adds to its answer; `line_id` names calls that came without an id."""
    texts = [block for block in content if text(block, "type") not in {"thinking", "redacted_thinking", "tool_use"}]
    thoughts = [thought for block in content if (thought := text(block, "thinking"))]
    calls = [block for block in content if block.get("type") == "tool_use"]
    return AnswerPart(
        index=index,
        content=shown(texts) if texts else None,
        thinking="\n\n".join(thoughts) if thoughts else None,
        tool_calls=tuple(
            ToolCall(
                id=identifier(call.get("id")) or f"{line_id}:call-{number}",
                function_name=text(call, "name") or "unnamed",
                arguments=json.dumps(call.get("input", {}), ensure_ascii=False),
            )
            for number, call in enumerate(calls, start=1)
        ),
        usage=usage,
    )


def result_text(block: Mapping[str, object]) -> str:
    """Return what a tool gave back."""
    return shown(blocks(block.get("content")))
