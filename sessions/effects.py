"""The effects that engine events have; `protocol.EFFECTS` says which event has which.

The source of each rule is contracts/koda.md section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sessions import loops
from sessions.engine_events import end_of
from sessions.exceptions import InvalidRequest
from sessions.models import (
    Command,
    EventDraft,
    Mode,
    Needs,
    Outcome,
    Request,
    Session,
    State,
    ToolCall,
    Turn,
    TurnEnd,
)

LONGEST_BUDGET = timedelta(days=1)
"""A declared budget is cut to this."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the effects of one batch work on: the locked session, the time, and the seq of the event at hand."""

    session: Session
    now: datetime
    seq: int = 0
    turns: dict[str, Turn | None] = field(default_factory=dict)
    noticed: list[EventDraft] = field(default_factory=list)
    """What the server itself has to say of the batch."""

    def turn(self, turn_id: str | None) -> Turn | None:
        """Return the turn with this id, or None when no start of it was seen."""
        if turn_id is None:
            return None
        if turn_id not in self.turns:
            self.turns[turn_id] = Turn.objects.called(self.session, turn_id)
        return self.turns[turn_id]


def turn_start(stage: Stage, draft: EventDraft) -> None:
    """Begin a turn; one that is still open has lost its process and is closed as abandoned.

    A turn that has ended is not begun again: a late repeat changes nothing (docs/protocol.md).
    """
    turn_id = str(draft.turn_id)
    turn = stage.turn(turn_id)
    if turn is not None and not turn.is_open:
        return
    for other in Turn.objects.open_beside(stage.session, turn_id):
        stage.turns[other.turn_id] = other
        other.end(TurnEnd.ABANDONED, message="The next turn began before this one ended.", now=stage.now)
        close_what_is_open(stage, other.turn_id)
    if turn is None:
        stage.turns[turn_id] = Turn.objects.begin(stage.session, turn_id=turn_id, now=stage.now)
    if stage.session.turn_id != turn_id:
        stage.session.stop_doing()
        stage.session.stop_looping()
        _leave_requests(stage, stage.session.turn_id)
    is_repeat = stage.session.is_running and stage.session.turn_id == turn_id
    if not is_repeat:
        stage.session.move_to(State.RUNNING, turn_id=turn_id, now=stage.now)


def turn_end(stage: Stage, draft: EventDraft) -> None:
    """End its own turn only; the state moves only when the turn is the session's (API.md section 5).

    A turn that never began cannot end: its end is refused, and the whole batch with it. It may have begun by its
    `turn_start`, or by a state that named it. One that has ended keeps the reason that it has; a state that named it
    since then is over with its second end.
    """
    kind, message = end_of(draft)
    turn = stage.turn(draft.turn_id)
    if turn is None and stage.session.is_running and stage.session.turn_id == draft.turn_id:
        turn = Turn.objects.begin_of_state(stage.session)
        stage.turns[turn.turn_id] = turn
    if turn is None:
        raise InvalidRequest.field("turn_id", "no turn with this id has begun in this session")
    is_its_own = stage.session.turn_id == turn.turn_id
    if turn.is_open:
        turn.end(kind, message=message, now=stage.now)
    elif not (is_its_own and stage.session.is_running):
        return
    close_what_is_open(stage, turn.turn_id)
    if is_its_own:
        stage.session.stop_looping()
        state = State.ERROR if kind == TurnEnd.ERROR else State.IDLE
        stage.session.move_to(state, turn_id=turn.turn_id if state == State.ERROR else None, now=stage.now)


def close_what_is_open(stage: Stage, turn_id: str | None) -> None:
    """Abort the calls and expire the requests and commands that a turn leaves open; None: those of no turn.

    Requests of no turn expire with any: whoever asked has gone on.
    """
    for call in ToolCall.objects.open_of(stage.session, turn_id):
        _close_call(stage, call, Outcome.ABORTED)
    expire_what_is_asked(stage.session, turn_id, now=stage.now)


def expire_what_is_asked(session: Session, turn_id: str | None, *, now: datetime) -> None:
    """Expire what a turn leaves open when it ends, requests and commands (API.md 5); None: the requests of no turn."""
    Request.objects.expire_in(session, turn_id, now=now)
    if turn_id is not None:  # A command of no turn outlives them all.
        Command.objects.expire_in(session, turn_id)
    Request.objects.let_need(session, now=now)


def _close_call(stage: Stage, call: ToolCall, outcome: str, *, result_seq: int | None = None) -> None:
    """Give a call its outcome and count it."""
    call.close(outcome, now=stage.now, result_seq=result_seq)
    stage.session.count_tool_calls(outcomes={outcome: 1})


def tool_call_start(stage: Stage, draft: EventDraft) -> None:
    """Open a call, or tie the event to the row that its assistant message has already made."""
    session, call_id = stage.session, str(draft.payload["id"])
    turn_id = draft.turn_id or session.turn_id
    args = draft.payload.get("args")
    expected_by = budget_end(session.budget_from(stage.now), draft.payload.get("expect_within"))
    is_sub_agent = draft.payload.get("is_sub_agent") is True
    call = ToolCall.objects.newest(session, call_id)
    if call is not None and call.start_seq is None:
        if turn_id is not None and turn_id != call.turn_id:
            Turn.objects.move_call(session, out_of=call.turn_id, into=turn_id)
        call.begin(
            start_seq=stage.seq, turn_id=turn_id, is_sub_agent=is_sub_agent, expected_by=expected_by, now=stage.now
        )
    else:
        born = ToolCall.objects.open_one(
            session, call_id=call_id, name=str(draft.payload["name"]), args=args, turn_id=turn_id,
            is_sub_agent=is_sub_agent, start_seq=stage.seq, expected_by=expected_by, is_timed=True,
            now=stage.now,
        )  # fmt: skip
        stage.noticed += loops.note_call(session, born, seq=stage.seq)
    ToolCall.objects.let_do(session)


def tool_call_result(stage: Stage, draft: EventDraft) -> None:
    """Close the newest open call with this id, or tie the event to the one that a message has closed.

    A result without a call is kept in the log and found there.
    """
    call_id = str(draft.payload["id"])
    call = ToolCall.objects.newest(stage.session, call_id, is_open=True)
    if call is not None:
        _close_call(stage, call, outcome_of(draft.payload), result_seq=stage.seq)
        stage.noticed += loops.note_result(stage.session, call, draft.payload.get("output"), seq=stage.seq)
    else:
        call = ToolCall.objects.newest(stage.session, call_id)
        if call is not None and call.result_seq is None:
            call.attach(result_seq=stage.seq)
    if call is not None:
        _settle_requests(stage, draft, tool_name=call.name)
    ToolCall.objects.let_do(stage.session)


def outcome_of(result: dict[str, Any]) -> str:
    """Return the outcome that a result tells of.

    An agent may say it outright (`outcome`, or `is_error`); else Koda's own texts decide
    (contracts/koda.md section 2, "Special contents").
    """
    if result.get("outcome") in Outcome.values:
        return str(result["outcome"])
    output = result.get("output")
    return Outcome.FAILED.value if result.get("is_error") is True else ToolCall.outcome_of_text(output)


def approval_request(stage: Stage, draft: EventDraft) -> None:
    """Open an approval that waits for a person."""
    _open_request(
        stage,
        draft,
        kind=Needs.APPROVAL,
        request_id=str(draft.payload["id"]),
        tool_name=str(draft.payload.get("tool_name") or ""),
        detail=str(draft.payload.get("detail") or ""),
        preview=draft.payload.get("preview"),
    )


def loop_cap_reached(stage: Stage, draft: EventDraft) -> None:
    """Open a loop decision; it has no id of its own."""
    cap, tools = draft.payload.get("cap"), draft.payload.get("recent_tools")
    _open_request(stage, draft, kind=Needs.LOOP_DECISION, detail=f"Reached {cap} rounds", options=tools)


def ask_user_request(stage: Stage, draft: EventDraft) -> None:
    """Open a question."""
    _open_request(
        stage,
        draft,
        kind=Needs.INPUT,
        request_id=str(draft.payload["id"]),
        detail=str(draft.payload.get("question") or ""),
        options=draft.payload.get("options"),
    )


def _open_request(stage: Stage, draft: EventDraft, **what: Any) -> None:
    """Write a request and let the session need a person."""
    turn_id = draft.turn_id or stage.session.turn_id
    Request.objects.open_one(stage.session, turn_id=turn_id, opened_seq=stage.seq, now=stage.now, **what)
    Request.objects.let_need(stage.session, now=stage.now)


def _settle_requests(stage: Stage, draft: EventDraft, *, tool_name: str | None = None) -> None:
    """Expire the turn's open requests and those of none, of one tool or of all: they were settled elsewhere.

    The agent has gone on, and one that waits says nothing. When its model speaks again, or the very tool has a result,
    the question was answered in its own terminal, or never could be (a sub-agent's); nobody here refused it
    (contracts/koda.md 4.5).
    """
    _leave_requests(stage, draft.turn_id or stage.session.turn_id, tool_name=tool_name)


def _leave_requests(stage: Stage, turn_id: str | None, *, tool_name: str | None = None) -> None:
    """Expire what waits in a turn and in none, if anything does; what waits in others stays."""
    if not stage.session.needs:
        return
    if Request.objects.expire_in(stage.session, turn_id, now=stage.now, tool_name=tool_name):
        Request.objects.let_need(stage.session, now=stage.now)


def footer(stage: Stage, draft: EventDraft) -> None:
    """Keep the turn's figures."""
    if turn := stage.turn(draft.turn_id or stage.session.turn_id):
        turn.take_footer({name: value for name, value in draft.payload.items() if _is_count(value)})


def context_usage(stage: Stage, draft: EventDraft) -> None:
    """Keep how full the model's window is."""
    used, window = draft.payload.get("used"), draft.payload.get("max")
    if _is_count(used) and _is_count(window):
        stage.session.note_context(used=used, window=window)


def status_update(stage: Stage, draft: EventDraft) -> None:
    """Take over a switch of model, provider or mode."""
    model, provider = draft.payload.get("model"), draft.payload.get("provider")
    mode = draft.payload.get("approval_mode")
    stage.session.note_model(
        model=model if isinstance(model, str) else None, provider=provider if isinstance(provider, str) else None
    )
    if isinstance(mode, str) and (trusted := Mode.named(mode)):
        stage.session.trust(trusted)


def _is_count(value: Any) -> bool:
    """Say whether `value` is a whole number that a column can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def budget_end(begins_at: datetime, seconds: Any) -> datetime | None:
    """Return when a declared budget of `seconds` runs out, or None when none was declared."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        return None
    return begins_at + timedelta(seconds=min(seconds, LONGEST_BUDGET.total_seconds()))


def speaks(activity: str) -> "Effect":
    """Return the effect of events that the model itself causes: they say what it does, and that it waits no more."""

    def effect(stage: Stage, draft: EventDraft) -> None:
        _settle_requests(stage, draft)
        if stage.session.doing != activity:
            _do_beside_calls(stage, activity)

    return effect


def sub_agent_start(stage: Stage, draft: EventDraft) -> None:
    """Say that a sub-agent works; its end has no event."""
    _do_beside_calls(stage, "Sub-agent", detail=str(draft.payload.get("agent_name") or "")[:200])


def _do_beside_calls(stage: Stage, activity: str, *, detail: str = "") -> None:
    """Say what is done while calls may be open: their budget stays where it is longer than that of who has moved."""
    budget = ToolCall.objects.longest_budget(stage.session)
    is_longer = budget is not None and budget > stage.now + stage.session.stuck_after
    stage.session.do(activity, detail=detail, now=stage.now, expected_by=budget if is_longer else None)


Effect = Callable[[Stage, EventDraft], None]
