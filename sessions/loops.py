"""Going round in circles, found from the log without a model (LIVENESS.md, "How it is found", 8).

A call counts when its record is born and a result when it closes a call, in the transaction of the write; who
tells of it, an event or a message, makes no difference, and both together count once.
"""

from typing import Any

from sessions.models import EventDraft, Loop, Outcome, Session, ToolCall


def note_call(session: Session, call: ToolCall, *, seq: int) -> list[EventDraft]:
    """Count a call that was just born; `seq` is the event that tells of it. Return the event of a new loop."""
    loop = session.repeat_call(call.name, call.args, seq=seq)
    return _told(call, loop, seq=seq)


def note_result(session: Session, call: ToolCall, output: Any, *, seq: int) -> list[EventDraft]:
    """Count the result that has just closed a call; `seq` is the event that tells of it."""
    loop = session.repeat_result(call.name, output, has_failed=call.outcome == Outcome.FAILED, seq=seq)
    return _told(call, loop, seq=seq)


def _told(call: ToolCall, loop: Loop | None, *, seq: int) -> list[EventDraft]:
    """Return the event that tells of a loop, with where the evidence begins and ends, or nothing."""
    if loop is None:
        return []
    evidence = {
        "kind": loop.kind.value,
        "count": loop.count,
        "tool": call.name,
        "id": call.call_id,
        "first_seq": loop.first_seq,
        "last_seq": seq,
    }
    return [EventDraft(type="server.loop_noticed", payload=evidence, turn_id=call.turn_id)]
