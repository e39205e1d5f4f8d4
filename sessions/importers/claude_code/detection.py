"""Tell a Claude Code transcript from other JSON-lines files by what stands in it."""

import json
from pathlib import Path

from sessions.importers.lines import decoded

_LINE_TYPES = frozenset({
    "assistant", "user", "progress", "system", "attachment", "summary", "file-history-snapshot", "queue-operation",
    "permission-mode", "mode", "ai-title", "custom-title", "agent-name", "last-prompt", "worktree-state", "pr-link",
})  # fmt: skip
_FAMILIAR_FIELDS = frozenset({"sessionId", "leafUuid", "snapshot", "parentUuid"})
_LINES_LOOKED_AT = 20


def recognises(path: Path, *, head: bytes) -> bool:
    """Say whether the file at `path`, which begins with `head`, is a transcript of Claude Code."""
    return path.suffix == ".jsonl" and any(map(_is_familiar, head.split(b"\n")[:_LINES_LOOKED_AT]))


def _is_familiar(line: bytes) -> bool:
    """Say whether one line is an object as this client writes it."""
    try:
        record = json.loads(decoded(line)[0].removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        return False
    return record["type"] in _LINE_TYPES and not _FAMILIAR_FIELDS.isdisjoint(record)
