"""Plain records that every reader of a foreign store yields; no Django, no database.

    Record = ImportedSession | ImportedMessage | ImportedCompaction | ImportedLink

A session record may come again for the same key: the later one knows more (a title, a parent call).
Order within a session is the order of its records; nothing is ever sorted by time.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

Role = str  # user, assistant, system or tool; a store that knows others keeps them

# What a message is to the program that wrote it. Prompts and queued prompts were typed by a person, echoes, metas and
# notices were put in by the program, an errand is the prompt that an agent gave to its sub-agent.
Kind = Literal["prompt", "queued", "echo", "meta", "summary", "errand", "answer", "result", "repeated_result", "notice"]


KINDS: dict[str, Kind] = {"user": "prompt", "assistant": "answer", "tool": "result"}
"""What a message is by its role, in stores that say no more."""


class ToolCall(TypedDict):
    """One call of an answer, in the shape of Koda's `tool_calls`; `arguments` is JSON text."""

    id: str
    function_name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """The five token counts of one model answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    thinking_tokens: int = 0

    def since(self, earlier: "Usage | None") -> "Usage":
        """Return what came on top of `earlier`, never below zero, so that running figures are counted once."""
        if earlier is None:
            return self
        return Usage(
            prompt_tokens=max(0, self.prompt_tokens - earlier.prompt_tokens),
            completion_tokens=max(0, self.completion_tokens - earlier.completion_tokens),
            cache_read_tokens=max(0, self.cache_read_tokens - earlier.cache_read_tokens),
            cache_creation_tokens=max(0, self.cache_creation_tokens - earlier.cache_creation_tokens),
            thinking_tokens=max(0, self.thinking_tokens - earlier.thinking_tokens),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedSession:
    """A session of the foreign store; `key` is unique within its source, `parent_key` names another such session.

    With a `uuid` it has that id here too, and is found by it whatever its key and source.
    Before the file was read to its end title and model are only the best so far: `is_settled` says that they hold.
    `is_title_derived` says that nobody gave the title. A store that uses its keys again says `is_one_life`: one of
    another `created_at` is another session. With `owns_key` it is another one too if no import made it. One that
    `is_empty` is not made, since nothing was said in it.
    """

    key: str
    agent_name: str
    project_root: str | None = None
    title: str | None = None
    model: str | None = None
    parent_key: str | None = None
    parent_tool_call_id: str | None = None
    created_at: datetime | None = None
    mode: str | None = None
    visibility: str | None = None
    uuid: UUID | None = None
    is_settled: bool = False
    is_title_derived: bool = False
    is_one_life: bool = False
    owns_key: bool = False
    is_empty: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPart:
    """One line of an answer that was written in several; `usage` is the running figure which that line repeats."""

    index: int
    content: str | None = None
    thinking: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedMessage:
    """One message; `client_id` stays the same however often and in however many pieces the file is read.

    An answer keeps its `parts`, so that a store which already has the first of them can take only the `rest`.
    `is_error` is None for everything but tool results (and there when the text of the result decides); `is_rejected`
    says that a person refused the call. `raw_tool_calls` is the array just as the store has it and replaces
    `tool_calls`. `position` is the number of a row of a table whose numbers only grow: see `row_id`.
    With `may_change` the newest row may say something else when it is read again.
    """

    session_key: str
    client_id: str
    role: Role
    kind: Kind
    content: str | None = None
    thinking: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    raw_tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    is_error: bool | None = None
    is_rejected: bool = False
    usage: Usage | None = None
    model: str | None = None
    agent_name: str | None = None
    created_at: datetime | None = None
    answer_key: str | None = None
    parts: tuple[AnswerPart, ...] = ()
    usage_before: Usage | None = None
    position: int | None = None
    may_change: bool = False

    def saying(self, **words: Any) -> "ImportedMessage":
        """Return this message with other words."""
        return replace(self, **words)

    def rest(self, *, after: int) -> "ImportedMessage | None":
        """Return this answer without its parts up to index `after`, None when nothing is left.

        The usage of the rest is the difference to what those parts have said, so the sum over the pieces is right.
        """
        left = tuple(part for part in self.parts if part.index > after)
        if not left:
            return None
        if len(left) == len(self.parts):
            return self
        taken = [part.usage for part in self.parts if part.index <= after and part.usage is not None]
        return assembled(replace(self, parts=left, usage_before=taken[-1] if taken else self.usage_before))


def assembled(answer: ImportedMessage) -> ImportedMessage:
    """Return the answer with its id, text, calls and usage put together from its parts (at least one)."""
    parts = answer.parts
    figures = [part.usage for part in parts if part.usage is not None]
    return replace(
        answer,
        client_id=answer_id(answer.answer_key or "", first=parts[0].index, last=parts[-1].index),
        content=_joined([part.content for part in parts]),
        thinking=_joined([part.thinking for part in parts]),
        tool_calls=tuple(call for part in parts for call in part.tool_calls),
        usage=figures[-1].since(answer.usage_before) if figures else None,
    )


def row_id(store: str, number: int) -> str:
    """Return the client id of the message in row `number` of a table whose numbers only grow; `store` is a word."""
    return f"{store}:{number}"


def answer_id(answer_key: str, *, first: int, last: int) -> str:
    """Return the client id of the message that holds the parts `first` to `last` of an answer."""
    return f"{answer_key}#{first}-{last}"


def _joined(texts: list[str | None]) -> str | None:
    """Return the texts that are there, a blank line between them; None when there is none."""
    present = [text for text in texts if text is not None]
    return "\n\n".join(present) if present else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedCompaction:
    """Where a conversation was compacted: what came before left the model's context, and nothing was deleted."""

    session_key: str
    client_id: str
    trigger: str
    pre_tokens: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedLink:
    """Tells which call of the parent started a session that stands in a file of its own."""

    session_key: str
    parent_key: str
    parent_tool_call_id: str
    agent_name: str | None = None


Record = ImportedSession | ImportedMessage | ImportedCompaction | ImportedLink


@dataclass(kw_only=True, slots=True)
class Tally:
    """What one reader has met and what it passed over.

    `bad_lines` are numbers (from 1) of lines that are not one JSON object. Those of them that held several objects in a
    row are in `split_lines` too: their objects were read all the same. Those that were too long to be read are in
    `long_lines`. `garbled_lines` were read, with U+FFFD in the place of bytes that are not UTF-8.
    """

    lines: int = 0
    bad_lines: list[int] = field(default_factory=list)
    split_lines: list[int] = field(default_factory=list)
    long_lines: list[int] = field(default_factory=list)
    garbled_lines: list[int] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    repeated_lines: int = 0
    repeated_results: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    def saw(self, moment: datetime | None) -> None:
        """Widen the span of time by `moment`; lines are not in order of time."""
        if moment is None:
            return
        self.first_at = min(self.first_at or moment, moment)
        self.last_at = max(self.last_at or moment, moment)
