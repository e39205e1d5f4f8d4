"""Recorded sessions, sent again through the public API message by message, as their agents would have."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sessions.importers import Opener, discover
from sessions.importers.changes import Change
from sessions.importers.feeding import Feed
from sessions.importers.records import (
    ImportedCompaction,
    ImportedLink,
    ImportedMessage,
    ImportedSession,
    Record,
    ToolCall,
)
from sessions.management.demo_agent import Agent, Json, Stage

LONGEST_GAP = timedelta(minutes=2)
"""A gap of the recording that was longer is cut to this before it is divided by the speed."""


@dataclass(slots=True)
class Recording:
    """One recorded session, ready to be played."""

    session: ImportedSession
    records: list[ImportedMessage | ImportedCompaction] = field(default_factory=list)


def load(path: Path) -> list[Recording]:
    """Return the recordings at `path`, parents before their sub-agents. Raises what `discover` raises."""
    opener = Opener()
    sessions: dict[str, ImportedSession] = {}
    spoken: defaultdict[str, list[ImportedMessage | ImportedCompaction]] = defaultdict(list)
    links: dict[str, ImportedLink] = {}
    for transcript in discover(path):
        feed = Feed.of(transcript, opener=opener)
        for records in (feed.pull(), feed.end()):
            _sort(records, sessions=sessions, spoken=spoken, links=links)
    keys = sorted(sessions, key=lambda key: (sessions[key].parent_key is not None, str(sessions[key].created_at)))
    return [Recording(_linked(sessions[key], links.get(key)), spoken[key]) for key in keys if spoken[key]]


def _sort(
    records: Iterable[Record | Change],
    *,
    sessions: dict[str, ImportedSession],
    spoken: defaultdict[str, list[ImportedMessage | ImportedCompaction]],
    links: dict[str, ImportedLink],
) -> None:
    """Put each record with its session."""
    for record in records:
        if isinstance(record, ImportedSession):
            sessions[record.key] = record
        elif isinstance(record, ImportedLink):
            links[record.session_key] = record
        elif isinstance(record, ImportedMessage | ImportedCompaction):
            spoken[record.session_key].append(record)


def _linked(session: ImportedSession, link: ImportedLink | None) -> ImportedSession:
    """Return the session with the call that its parent's file names, where its own does not."""
    if link is None or session.parent_tool_call_id is not None:
        return session
    return ImportedSession(
        key=session.key,
        agent_name=link.agent_name or session.agent_name,
        project_root=session.project_root,
        title=session.title,
        model=session.model,
        parent_key=link.parent_key,
        parent_tool_call_id=link.parent_tool_call_id,
        created_at=session.created_at,
    )


def facts_of(recording: Recording, *, parent_id: str | None) -> Json:
    """Return the body that creates the session."""
    session = recording.session
    facts = {
        "agent_name": session.agent_name,
        "project_root": session.project_root,
        "title": session.title,
        "model": session.model,
        "parent_id": parent_id,
        "parent_tool_call_id": session.parent_tool_call_id,
    }
    return {name: value for name, value in facts.items() if value is not None}


def replay(recording: Recording, *, agent: Agent, stage: Stage) -> None:
    """Send one recording with its recorded gaps, compressed. Raises `Stopped` when the demo ends."""
    clock: datetime | None = None
    names: dict[str, str] = {}
    for record in recording.records:
        at = record.at if isinstance(record, ImportedCompaction) else record.created_at
        if at is not None and clock is not None:
            stage.pause(min(max(at - clock, timedelta()), LONGEST_GAP).total_seconds())
        clock = at or clock
        if isinstance(record, ImportedCompaction):
            agent.tell({"type": "info", "message": f"Conversation compacted ({record.trigger})"})
        else:
            _send(record, agent=agent, names=names)
    agent.end_turn()


def _send(message: ImportedMessage, *, agent: Agent, names: dict[str, str]) -> None:
    """Send one message and the events that belong to it; `names` are the tools by call id."""
    if message.kind in {"prompt", "errand"}:
        agent.end_turn()
        agent.begin_turn(message.content or "")
        return
    if message.kind == "answer":
        _send_answer(message, agent=agent, names=names)
        return
    call_id = message.tool_call_id
    if message.role == "tool" and call_id is not None:
        name = names.get(call_id, "unknown")
        result = {"type": "tool_call_result", "id": call_id, "name": name, "output": message.content or ""}
        agent.tell({**result, "is_error": bool(message.is_error)})
    agent.say(message.role, message.content, **({"tool_call_id": call_id} if call_id else {}))


def _send_answer(message: ImportedMessage, *, agent: Agent, names: dict[str, str]) -> None:
    """Send the text as deltas, the message, then the start of its calls: the order in which Koda works."""
    if agent.turn_id is None:
        agent.start_turn()  # the recording begins in the middle of one
    if message.thinking:
        agent.tell({"type": "thinking_start"}, {"type": "thinking_delta", "text": message.thinking})
        agent.tell({"type": "thinking_done"})
    if message.content:
        agent.tell({"type": "response_start"}, {"type": "text_delta", "text": message.content}, {"type": "text_done"})
    fields: Json = {}
    if message.tool_calls:
        fields["tool_calls"] = [dict(call) for call in message.tool_calls]
    if message.usage is not None:
        fields["usage"] = {name: getattr(message.usage, name) for name in message.usage.__slots__}
    agent.say("assistant", message.content, **fields)
    for call in message.tool_calls:
        names[call["id"]] = call["function_name"]
        agent.tell(_start(call))


def _start(call: ToolCall) -> Json:
    """Return the event that a tool runs now."""
    return {"type": "tool_call_start", "id": call["id"], "name": call["function_name"], "args": call["arguments"]}
