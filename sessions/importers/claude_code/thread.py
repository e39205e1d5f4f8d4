"""One conversation while it is being read: what is known of it, its open answer, and what waits behind that."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from sessions.importers.claude_code.errands import Errand
from sessions.importers.claude_code.prompts import command_of, is_plain
from sessions.importers.fields import LONGEST_TITLE, identifier
from sessions.importers.records import (
    AnswerPart,
    ImportedCompaction,
    ImportedMessage,
    ImportedSession,
    Record,
    Usage,
    assembled,
)

TITLE_LENGTH = 50
MAIN_AGENT = "claude-code"
SUB_AGENT = "claude-code-subagent"


@dataclass(kw_only=True, slots=True)
class Facts:
    """What the lines have told of a session so far; better knowledge replaces poorer."""

    project_root: str | None = None
    model: str | None = None
    created_at: datetime | None = None
    custom_title: str | None = None
    ai_title: str | None = None
    summary: str | None = None
    first_words: str | None = None
    first_command: str | None = None
    errand: Errand | None = None
    parent_tool_call_id: str | None = None

    def given_title(self) -> str | None:
        """Return the best title that was given: by a person, the model, or the caller."""
        return self.custom_title or self.ai_title or self.summary or (self.errand.title if self.errand else None)

    def title(self) -> str | None:
        """Return the best title: one that was given, else the first plain prompt or command."""
        return self.given_title() or self.first_words or self.first_command


@dataclass(kw_only=True, slots=True)
class Thread:
    """A session as its lines arrive.

    One answer of the model is written as several lines, and results of its first calls can stand between them. So an
    answer stays open, and what follows it is held, until the next answer or a prompt begins, or until `settle`.
    """

    key: str
    parent_key: str | None = None
    facts: Facts = field(default_factory=Facts)
    answered_calls: set[str | None] = field(default_factory=set)
    queue: deque[tuple[str, str]] = field(default_factory=deque)
    delivered: Counter[str] = field(default_factory=Counter)
    has_prompt: bool = False
    _announced: ImportedSession | None = None
    _answer: ImportedMessage | None = None
    _parts: list[AnswerPart] = field(default_factory=list)
    _held: list[ImportedMessage] = field(default_factory=list)
    _part_counts: Counter[str] = field(default_factory=Counter)
    _figures: dict[str, Usage] = field(default_factory=dict)
    _lines_by_id: dict[str, list[str]] = field(default_factory=dict)

    def note_words(self, words: str) -> None:
        """Take the first plain words as a title until a better one comes."""
        if self.facts.first_words is None and is_plain(words):
            line = " ".join(words.split())
            self.facts.first_words = line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
        self.facts.first_command = self.facts.first_command or command_of(words)

    def unique_id(self, line_id: str, *, line: str) -> str | None:
        """Return an id for a line that no other line of this thread has; None when this very line was read before."""
        digest = hashlib.sha256(line.encode("utf-8", errors="replace")).hexdigest()
        seen = self._lines_by_id.setdefault(line_id, [])
        if digest in seen:
            return None
        seen.append(digest)
        return line_id if len(seen) == 1 else f"{line_id}~{len(seen)}"

    def next_index(self, answer_key: str) -> int:
        """Return the number, from 1, of the next line of this answer."""
        self._part_counts[answer_key] += 1
        return self._part_counts[answer_key]

    def extend(self, line: ImportedMessage, part: AnswerPart) -> Iterator[Record]:
        """Add one line of an answer; a line of another answer closes the one before."""
        if self._answer is not None and self._answer.answer_key != line.answer_key:
            yield from self.close()
        if self._answer is None:
            self._answer = line
        self._parts.append(part)

    def hold(self, message: ImportedMessage) -> Iterator[Record]:
        """Yield the message, or keep it until the open answer is complete."""
        if self._answer is not None:
            self._held.append(message)
            return
        yield from self._with_session(message)

    def close(self) -> Iterator[Record]:
        """End the open answer: yield it as one message, then what was held behind it."""
        answer, self._answer = self._answer, None
        if answer is not None:
            yield from self._with_session(self._complete(answer))
        held, self._held = self._held, []
        yield from held

    def interrupt(self, record: ImportedMessage | ImportedCompaction) -> Iterator[Record]:
        """Yield a record that no answer reaches across: a prompt, a compaction."""
        yield from self.close()
        yield from self._with_session(record)

    def settle(self) -> Iterator[Record]:
        """Yield all that waits, as if nothing came after it, and the session again if more is known of it now."""
        yield from self.close()
        if self._announced is not None:
            yield from self._announce(is_settled=True)

    def _complete(self, answer: ImportedMessage) -> ImportedMessage:
        """Return the answer with the difference to what earlier messages of the same answer have counted."""
        key = answer.answer_key or ""
        parts, self._parts = tuple(self._parts), []
        figures = [part.usage for part in parts if part.usage is not None]
        message = assembled(replace(answer, parts=parts, usage_before=self._figures.get(key)))
        if figures:
            self._figures[key] = figures[-1]
        return message

    def _with_session(self, record: ImportedMessage | ImportedCompaction) -> Iterator[Record]:
        """Yield the record, after the session itself if this is the first of it."""
        if self._announced is None:
            yield from self._announce(is_settled=False)
        yield record

    def _announce(self, *, is_settled: bool) -> Iterator[Record]:
        """Yield the session if there is something new to say of it."""
        facts = self.facts
        agent_name = (facts.errand.agent_name if facts.errand else None) or (
            SUB_AGENT if self.parent_key else MAIN_AGENT
        )
        session = ImportedSession(
            key=self.key,
            agent_name=agent_name,
            project_root=facts.project_root,
            title=identifier(facts.title(), longest=LONGEST_TITLE),
            is_title_derived=facts.given_title() is None and facts.title() is not None,
            model=facts.model,
            parent_key=self.parent_key,
            parent_tool_call_id=facts.parent_tool_call_id or (facts.errand.tool_call_id if facts.errand else None),
            created_at=facts.created_at,
            is_settled=is_settled,
        )
        if session != self._announced:
            self._announced = session
            yield session
