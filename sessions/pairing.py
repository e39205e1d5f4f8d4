"""Calls and results that messages tell of: each call once, each result with its call, in whichever order they come.

A batch asks at once for all calls that it may be about, pairs in memory, and writes at once what came of it: its
queries do not grow with what it tells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from django.db.models import QuerySet

from sessions import loops
from sessions.models import EventDraft, Message, Role, Session, ToolCall, telling_argument
from sessions.models.fields import NAME_BYTES, clean_text
from sessions.models.prepared import Place, prepared
from sessions.models.writing import born, update_all

EARLY_RESULTS = 200
"""Tool messages, newest first, among which a result is looked for that came before its call."""


def pair_tools(session: Session, messages: Sequence[Message], *, outcomes: Sequence[str | None]) -> list[EventDraft]:
    """Open a call for each that these new messages ask for, and close those whose results came.

    `outcomes` says of each message how its sender knows its call to have ended; None: its text decides. The caller
    holds the session's lock, and `session.last_seq + 1` will tell of the messages. Return what was noticed.
    """
    pairing = _Pairing.begin(session, messages)
    for message, outcome in zip(messages, outcomes, strict=True):
        if message.role == Role.USER:
            session.stop_looping()  # A person has spoken: what comes now is a new attempt.
        elif message.role == Role.ASSISTANT:
            for call_id, call in _announced(message):
                pairing.announce(message, call, call_id)
        elif message.role == Role.TOOL and message.tool_call_id:
            result = _Result(message, outcome)
            if not pairing.take(result):
                pairing.early[result.call_id] = result
    pairing.write()
    return pairing.noticed


@dataclass(frozen=True, slots=True)
class _Result:
    """A tool message, and how its sender knows its call to have ended."""

    message: Message
    outcome: str | None = None

    @property
    def call_id(self) -> str:
        return clean_text(str(self.message.tool_call_id))


@dataclass(slots=True, kw_only=True)
class _Pairing:
    """One batch: the calls that it may be about, oldest first, by id; results that wait for theirs; what is new."""

    session: Session
    calls: dict[str, list[ToolCall]]
    early: dict[str, _Result]
    noticed: list[EventDraft] = field(default_factory=list)
    _born: list[ToolCall] = field(default_factory=list)
    _changed: dict[int, ToolCall] = field(default_factory=dict)
    _has_ended_what_began: bool = False

    @classmethod
    def begin(cls, session: Session, messages: Sequence[Message]) -> Self:
        """Read what is stored of the calls that these messages ask for or answer."""
        asked = {call_id for row in messages if row.role == Role.ASSISTANT for call_id, _ in _announced(row)}
        answered = {_Result(row).call_id for row in messages if row.role == Role.TOOL and row.tool_call_id}
        early = _early_results(session, asked, before=messages[0].pk) if asked else {}
        return cls(session=session, calls=ToolCall.objects.known(session, asked | answered), early=early)

    def announce(self, message: Message, call: dict[str, Any], call_id: str) -> None:
        """Tie a call to the row that an event made, or open one, which an early result closes."""
        known = self.calls.setdefault(call_id, [])
        if known and known[-1].message_id is None:
            known[-1].message_id = message.pk
            self._note(known[-1])
            return
        nested = call.get("function")
        function: dict[str, Any] = nested if isinstance(nested, dict) else {}
        name = call.get("function_name") or call.get("name") or function.get("name")
        args = call.get("arguments", call.get("input", function.get("arguments")))
        fresh = born(
            ToolCall, session_id=self.session.pk, call_id=call_id, message_id=message.pk, name=str(name or "?"),
            args=args, detail=telling_argument(args), turn_id=message.turn_id, started_at=message.created_at,
        )  # fmt: skip
        self._born.append(fresh)
        known.append(fresh)
        self.noticed += loops.note_call(self.session, fresh, seq=self.session.last_seq + 1)
        if (result := self.early.pop(call_id, None)) is not None:
            self.take(result)

    def take(self, result: _Result) -> bool:
        """Close the call that a tool message answers, or only tie it when an event has closed it already.

        Say whether there was such a call.
        """
        known = self.calls.get(result.call_id, [])
        call = next((one for one in reversed(known) if one.is_open), None) or self._older(known)
        if call is None:
            if not known or known[-1].result_message_id is not None:
                return False
            known[-1].result_message_id = result.message.pk
            self._note(known[-1])
            return True
        content = result.message.content
        outcome = result.outcome or ToolCall.outcome_of_text(content)
        call.end(outcome, now=result.message.created_at)
        call.result_message_id = result.message.pk
        self._note(call)
        self.session.count_tool_calls(outcomes={outcome: 1})
        self.noticed += loops.note_result(self.session, call, content, seq=self.session.last_seq + 1)
        self._has_ended_what_began = self._has_ended_what_began or call.start_seq is not None
        return True

    def write(self) -> None:
        """Write what is new of the calls, and let the session do what is still open."""
        ToolCall.objects.bear(self.session, self._born)
        update_all(list(self._changed.values()), ["message_id", "result_message_id", "outcome", "ended_at"])
        if self._has_ended_what_began:
            ToolCall.objects.let_do(self.session)

    def _older(self, known: list[ToolCall]) -> ToolCall | None:
        """Return a call with an id that was used again while it was open, now that those after it have ended here."""
        ended_here = [call for call in known if call.pk in self._changed]
        if not ended_here:
            return None
        older = ToolCall.objects.filter(session=self.session, call_id=known[0].call_id, pk__lt=ended_here[0].pk)
        call = older.open().order_by("-id").first()
        known[:0] = [call] if call else []
        return call

    def _note(self, call: ToolCall) -> None:
        if call.pk is not None:
            self._changed[call.pk] = call


def _announced(message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the calls of an assistant message by their ids; one without a usable id cannot be paired: left out."""
    for call in message.calls():
        call_id = call.get("id")
        if isinstance(call_id, str) and 0 < len(call_id.encode(errors="replace")) <= NAME_BYTES:
            yield clean_text(call_id), call


def _early_results(session: Session, asked: set[str], *, before: int) -> dict[str, _Result]:
    """Return the newest stored result of each of these call ids that no call has: batches may come reordered."""
    found = {str(call_id): pk for call_id, pk in reversed(_results(session.pk, before)) if call_id in asked}
    if not found:
        return {}
    taken = ToolCall.objects.filter(result_message__in=found.values()).values_list("result_message", flat=True)
    waiting = Message.objects.filter(pk__in=set(found.values()) - set(taken))
    return {result.call_id: result for result in map(_Result, waiting)}


@prepared
def _results(session_id: Place, before: Place) -> "QuerySet[Message, tuple[str | None, int]]":
    """Ask for the newest tool messages before a message, and their calls."""
    results = Message.objects.filter(session=session_id, role=Role.TOOL, pk__lt=before).order_by("-id")
    return results.values_list("tool_call_id", "pk")[:EARLY_RESULTS]
