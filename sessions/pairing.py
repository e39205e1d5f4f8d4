"""Calls and results that messages tell of: each call once, each result with its call, in whichever order they come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessions import loops
from sessions.models import EventDraft, Message, Role, Session, ToolCall
from sessions.models.fields import NAME_BYTES, clean_text

EARLY_RESULTS = 200
"""Tool messages, newest first, among which a result is looked for that came before its call."""


def pair_tools(session: Session, messages: Sequence[Message], *, outcomes: Sequence[str | None]) -> list[EventDraft]:
    """Open a call for each that these new messages ask for, and close those whose results came.

    `outcomes` says of each message how its sender knows its call to have ended; None: its text decides. The caller
    holds the session's lock, and `session.last_seq + 1` will tell of the messages. Return what was noticed.
    """
    pairing = _Pairing(session, _early_results(session, messages))
    for message, outcome in zip(messages, outcomes, strict=True):
        if message.role == Role.USER:
            session.stop_looping()  # A person has spoken: what comes now is a new attempt.
        elif message.role == Role.ASSISTANT:
            pairing.announce_all(message)
        elif message.role == Role.TOOL and message.tool_call_id and not pairing.take_result(message, outcome):
            pairing.early[message.tool_call_id] = (message.pk, outcome)
    return pairing.noticed


@dataclass(slots=True)
class _Pairing:
    """One batch: its session, the results that wait for their call (row and outcome by call id), what was noticed."""

    session: Session
    early: dict[str, tuple[int, str | None]]
    noticed: list[EventDraft] = field(default_factory=list)

    def announce_all(self, message: Message) -> None:
        """Take the calls of an assistant message; one without a usable id cannot be paired and is left out."""
        for call in message.calls():
            call_id = call.get("id")
            if isinstance(call_id, str) and 0 < len(call_id.encode(errors="replace")) <= NAME_BYTES:
                self._announce(message, call, clean_text(call_id))

    def _announce(self, message: Message, call: dict[str, Any], call_id: str) -> None:
        """Tie a call to the row that an event made, or open one, which an early result closes."""
        told = ToolCall.objects.newest(self.session, call_id)
        if told is not None and told.message_id is None:
            told.attach(message_id=message.pk)
            return
        nested = call.get("function")
        function: dict[str, Any] = nested if isinstance(nested, dict) else {}
        name = call.get("function_name") or call.get("name") or function.get("name")
        args = call.get("arguments", call.get("input", function.get("arguments")))
        born = ToolCall.objects.open_one(
            self.session, call_id=call_id, message_id=message.pk, name=str(name or "?"), args=args,
            turn_id=message.turn_id, now=message.created_at,
        )  # fmt: skip
        self.noticed += loops.note_call(self.session, born, seq=self.session.last_seq + 1)
        result_pk, outcome = self.early.pop(call_id, (None, None))
        if result_pk is not None and not ToolCall.objects.filter(result_message=result_pk).exists():
            self.take_result(Message.objects.get(pk=result_pk), outcome)

    def take_result(self, message: Message, outcome: str | None) -> bool:
        """Close the call that a tool message answers, or only tie it when an event has closed it already.

        Say whether there was such a call.
        """
        call_id = str(message.tool_call_id)
        call = ToolCall.objects.newest(self.session, call_id, is_open=True)
        if call is None:
            told = ToolCall.objects.newest(self.session, call_id)
            if told is None or told.result_message_id is not None:
                return False
            told.attach(result_message_id=message.pk)
            return True
        outcome = outcome or ToolCall.outcome_of_text(message.content)
        call.close(outcome, now=message.created_at, result_message_id=message.pk)
        self.session.count_tool_calls(outcomes={outcome: 1})
        self.noticed += loops.note_result(self.session, call, message.content, seq=self.session.last_seq + 1)
        if call.start_seq is not None:
            ToolCall.objects.let_do(self.session)
        return True


def _early_results(session: Session, messages: Sequence[Message]) -> dict[str, tuple[int, str | None]]:
    """Return the newest stored result for each call id: reordered batches bring a result before its call.

    Most of them have long been taken by a call; whoever finds one here must ask.
    """
    if not any(message.calls() for message in messages if message.role == Role.ASSISTANT):
        return {}
    results = session.messages.filter(role=Role.TOOL, pk__lt=messages[0].pk).order_by("-id")
    newest = list(results.values_list("tool_call_id", "pk")[:EARLY_RESULTS])
    return {str(call_id): (pk, None) for call_id, pk in reversed(newest)}
