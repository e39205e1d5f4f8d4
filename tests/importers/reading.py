"""Read bytes with the Claude Code reader, in one go or in pieces, and sum up what came."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sessions.importers.claude_code import ClaudeCodeReader, Errands
from sessions.importers.known import KnownMessages
from sessions.importers.lines import LineSplitter
from sessions.importers.records import ImportedMessage, ImportedSession, Record


def read(data: bytes, *, name: str = "file", errands: Errands | None = None) -> tuple[list[Record], ClaudeCodeReader]:
    reader, splitter = ClaudeCodeReader(name=name, errands=errands), LineSplitter(longest=1 << 26)
    records = list(reader.read(splitter.feed(data)))
    records += reader.read(splitter.finish())
    records += reader.settle()
    return records, reader


def messages(records: Iterable[Record]) -> list[ImportedMessage]:
    return [record for record in records if isinstance(record, ImportedMessage)]


def sessions(records: Iterable[Record]) -> dict[str, ImportedSession]:
    """The last word on each session."""
    return {record.key: record for record in records if isinstance(record, ImportedSession)}


class Shelf:
    """A store in memory that knows messages as the real one does."""

    def __init__(self) -> None:
        self.known: defaultdict[str, KnownMessages] = defaultdict(KnownMessages)
        self.messages: list[ImportedMessage] = []

    def add(self, records: Iterable[Record]) -> None:
        for message in messages(records):
            fresh = self.known[message.session_key].take(message)
            if fresh is not None:
                self.messages.append(fresh)

    def contents(self) -> dict[Any, Any]:
        """What is there, with the pieces of one answer put together: equal for equal histories, however they came."""
        found: dict[Any, Any] = {}
        for message in self.messages:
            if message.answer_key is None:
                found[message.session_key, message.client_id] = (message.kind, message.content, message.tool_call_id)
                continue
            texts, calls, figures = found.setdefault((message.session_key, message.answer_key), ([], [], [0] * 4))
            texts += [part.content for part in message.parts if part.content is not None]
            calls += message.tool_calls
            if (usage := message.usage) is not None:
                amounts = (
                    usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens, usage.cache_creation_tokens
                )  # fmt: skip
                figures[:] = [sum(pair) for pair in zip(figures, amounts, strict=True)]
        return found


def transcripts_under(folder: Path) -> list[Path]:
    return sorted((folder / "claude-code").rglob("*.jsonl"))
