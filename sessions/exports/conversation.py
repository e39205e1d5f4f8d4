"""For people: the conversation of a session in order, each message with its calls, and what stands beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sessions import transcripts
from sessions.models import TODO_KEY, Message, Metadata, Role, Session, ToolCall
from sessions.models.batching import batched
from sessions.templatetags.cleartext import on_one_line
from sessions.templatetags.tools import Argument, arguments, tool_state

_AT_ONCE = 50
"""Messages that are held in memory, with their calls and outputs."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call: its name, how it ended, what it was given, and what it gave back (None: nobody said)."""

    name: str
    state: str
    given: list[Argument]
    output: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """A message: who spoke, when, what they said and thought, and the calls that they made."""

    speaker: str
    when: str
    content: str = ""
    thinking: str = ""
    is_result: bool = False
    is_archived: bool = False
    calls: Sequence[Call] = ()


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the conversation."""

    todo: str
    metadata: list[tuple[str, str]]
    files: Iterable[str]
    requests: Iterable[str]


def facts_of(session: Session) -> list[tuple[str, str]]:
    """Return what is known of a session, in words; what is not known is left out."""
    found: dict[str, str | None] = {
        "Agent": session.agent_name, "Project": session.project_root, "Model": session.model,
        "Provider": session.provider, "Mode": session.mode, "State": session.state, "Session": str(session.uuid),
        "Key": session.key, "Source": session.source, "Began": _time_words(session.created_at),
        "Last active": _time_words(session.last_activity_at), "Messages": f"{session.message_count:,}",
        "Tokens in": f"{session.prompt_tokens:,}", "Tokens out": f"{session.completion_tokens:,}",
    }  # fmt: skip
    if not session.api_call_count:  # Nobody told; that is not 0.
        found |= {"Tokens in": None, "Tokens out": None}
    return [(name, on_one_line(value, longest=2_000)) for name, value in found.items() if value]


def said_in(session: Session) -> Iterator[Said]:
    """Yield the conversation, archived messages too; then calls that no message made, and what is being said."""
    for batch in batched(Message.objects.of(session.pk).iterator(chunk_size=_AT_ONCE), _AT_ONCE):
        made = _calls_of(session, batch)
        answered = session.tool_calls.filter(result_message__in=[row.pk for row in batch], message__isnull=False)
        shown_in_call = set(answered.values_list("result_message", flat=True))
        for row in batch:
            if row.pk not in shown_in_call:
                yield _said(session, row, made.get(row.pk, []))
    alone = session.tool_calls.filter(message=None).select_related("result_message").order_by("pk")
    for calls in batched(alone.iterator(chunk_size=_AT_ONCE), _AT_ONCE):
        outputs = _told_outputs(session, calls)
        for call in calls:
            yield Said(session.agent_name, _time_words(call.started_at), calls=[_call(call, outputs)])
    now = transcripts.present(session)
    if now.text or now.thinking:
        yield Said(session.agent_name, "not yet a message", now.text, now.thinking)


def beside(session: Session) -> Beside:
    """Return what stands beside the conversation; its lists are read as they are gone through."""
    metadata = list(Metadata.objects.filter(session=session).order_by("key").values_list("key", "value"))
    requests = session.requests.order_by("pk").iterator(chunk_size=_AT_ONCE)
    return Beside(
        todo=next((value for key, value in metadata if key == TODO_KEY), ""),
        metadata=[(key, value) for key, value in metadata if key != TODO_KEY],
        files=session.files.order_by("pk").values_list("path", flat=True).iterator(chunk_size=_AT_ONCE),
        requests=(
            on_one_line(f"{_time_words(one.opened_at)} {one.kind} {one.tool_name} {one.detail}: {one.status}")
            for one in requests
        ),
    )


def _time_words(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _said(session: Session, row: Message, calls: list[Call]) -> Said:
    speaker = (row.agent_name or session.agent_name) if row.role == Role.ASSISTANT else row.role
    is_archived = row.compacted_at is not None
    is_result = row.role == Role.TOOL
    when = _time_words(row.created_at)
    return Said(speaker, when, row.content or "", row.thinking or "", is_result, is_archived, calls)


def _calls_of(session: Session, batch: list[Message]) -> dict[int, list[Call]]:
    """Return the calls that these messages made, by message."""
    rows = session.tool_calls.filter(message__in=[row.pk for row in batch]).select_related("result_message")
    found = list(rows.order_by("pk"))
    outputs = _told_outputs(session, found)
    calls: dict[int, list[Call]] = {}
    for call in found:
        assert call.message_id is not None
        calls.setdefault(call.message_id, []).append(_call(call, outputs))
    return calls


def _told_outputs(session: Session, calls: Iterable[ToolCall]) -> dict[int, str | None]:
    """Return what the closing events of calls told, where no message holds it, by the event's seq."""
    seqs = [call.result_seq for call in calls if call.result_message_id is None and call.result_seq is not None]
    return {event.seq: event.output for event in session.events.filter(seq__in=seqs)} if seqs else {}


def _call(call: ToolCall, outputs: Mapping[int, str | None]) -> Call:
    result = call.result_message
    output = outputs.get(call.result_seq or 0) if result is None else result.content or ""
    return Call(on_one_line(call.name), tool_state(call), arguments(call.args), output)
