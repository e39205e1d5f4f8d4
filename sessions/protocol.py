"""The turn protocol: events, states and signs of life from an agent, and the end of a turn whose agent went away.

What each event does is one table, `EFFECTS`; the effects themselves stand in `effects`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from sessions import effects, liveness, redaction
from sessions.effects import Stage, budget_end, close_what_is_open, expire_what_is_asked
from sessions.engine_events import NONE_STORED, join_deltas, require_valid
from sessions.exceptions import Conflict, InvalidRequest
from sessions.models import Event, EventDraft, Session, State, ToolCall, Turn, TurnEnd
from sessions.models.fields import require_name
from sessions.models.watched import ACTIVITY_LENGTH

LONGEST_INTERVAL_SECONDS = int(timedelta(days=1).total_seconds())
"""An interval that an agent declares for its heartbeats is cut to this."""

EFFECTS: dict[str, effects.Effect] = {
    "turn_start": effects.turn_start,
    "turn_end": effects.turn_end,
    "tool_call_start": effects.tool_call_start,
    "tool_call_result": effects.tool_call_result,
    "approval_request": effects.approval_request,
    "loop_cap_reached": effects.loop_cap_reached,
    "ask_user_request": effects.ask_user_request,
    "footer": effects.footer,
    "context_usage": effects.context_usage,
    "status_update": effects.status_update,
    "thinking_start": effects.speaks("Thinking"),
    "thinking_delta": effects.speaks("Thinking"),
    "response_start": effects.speaks("Writing"),
    "text_delta": effects.speaks("Writing"),
    "sub_agent_start": effects.sub_agent_start,
}
"""What each type does to the session, its turn, its tool calls and its open requests.

An event whose type is not here is kept in the log and moves nothing, so that newer agents lose nothing. Types that are
known and do nothing: text_done, thinking_done, spinner_start, spinner_stop, action_blocked, info, warn, error.
"""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch: events stored as sent, those already known, and the newest seq of the log."""

    stored: int
    duplicates: int
    last_seq: int


def ingest(session_id: int, drafts: Sequence[EventDraft], *, now: datetime | None = None) -> Ingested:
    """Store a batch of engine events and let each have its effect; all of it or none.

    Events with a known `event_id` are passed over. Raises `NotFound` for an unknown session and
    `InvalidRequest`, naming the item, when one event cannot be accepted, in itself or after what came before it.
    """
    now = now or timezone.now()
    require_valid(drafts)
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        fresh = _without_known(session, drafts)
        if not fresh:
            return Ingested(0, len(drafts), session.last_seq)
        session.note_protocol()
        session.hear(now, is_progress=True, event_count=len(fresh))
        stage = Stage(session=session, now=now, seq=session.last_seq)
        joined = join_deltas(fresh)
        stored = [draft.cleaned() for draft in joined]
        for draft, as_stored in zip(joined, stored, strict=True):
            stage.seq += 1
            if effect := EFFECTS.get(draft.type):
                try:
                    effect(stage, as_stored)
                except InvalidRequest as invalid:
                    place = next(index for index, sent in enumerate(drafts) if sent is draft)
                    raise InvalidRequest(NONE_STORED, errors=invalid.within(f"events.{place}")) from None
        session.note_progress_at(stage.seq)
        session.record([*stored, *stage.noticed, *liveness.settle(session, now)], now=now, activity_at=now)
    return Ingested(len(fresh), len(drafts) - len(fresh), session.last_seq)


def keep(session_id: int, drafts: Sequence[EventDraft], *, now: datetime | None = None) -> int:
    """Keep events of another store in the log: what they tell is over, so they have no effect and are no sign of life.

    Their types must be none that has an effect. Events with a known `event_id` are passed over; return how many
    were not. Raises `NotFound`, or `InvalidRequest` naming the item.
    """
    assert not any(draft.type in EFFECTS for draft in drafts)
    require_valid(drafts)
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        fresh = _without_known(session, drafts)
        if fresh:
            session.record([draft.cleaned() for draft in fresh], now=now)
    return len(fresh)


def set_state(session_id: int, state: str, *, turn_id: str | None, by: str, now: datetime | None = None) -> Session:
    """Set the state as the contracts mean it: any may follow any, each `running` starts the clock anew.

    A turn that is left by it has ended for whoever is asked: its open requests expire. A `running` that names no turn
    leaves none. Does not move `last_activity_at` (ZeroClaw's rule).
    Raises `NotFound`, or `InvalidRequest` for another word.
    """
    if state not in State.values:
        raise InvalidRequest.field("state", f"must be one of {', '.join(State.values)}")
    if turn_id is not None:
        require_name("turn_id", turn_id)
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        session.stop_doing()
        session.stop_looping()
        if session.is_running and (state != State.RUNNING or turn_id not in {None, session.turn_id}):
            expire_what_is_asked(session, session.turn_id, now=now)
        session.move_to(state, turn_id=turn_id, now=now)
        session.hear(now, is_progress=True, event_count=0)
        session.note_progress_at(session.last_seq + 1)
        change = EventDraft(type="server.state_changed", payload={"state": state, "by": by}, turn_id=turn_id)
        session.record([change, *liveness.settle(session, now)], now=now)
    return session


def heartbeat(
    session_id: int,
    *,
    interval_seconds: int | None = None,
    progress: int | None = None,
    activity: str | None = None,
    expect_within_seconds: float | None = None,
    now: datetime | None = None,
) -> Session:
    """Take a sign of life (LIVENESS.md). It is progress only when `progress` is larger than the last one.

    A bare heartbeat adds nothing to the log; a new activity or a changed liveness does.
    Raises `NotFound`, or `InvalidRequest` for a negative number.
    """
    for name, value in {
        "interval": interval_seconds,
        "progress": progress,
        "expect_within": expect_within_seconds,
    }.items():
        if value is not None and not 0 <= value < 2**63:
            raise InvalidRequest.field(name, "must not be negative")
    now = now or timezone.now()
    activity = redaction.clean(activity)
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        budget = budget_end(session.budget_from(now), expect_within_seconds)
        session.take_heartbeat(
            now,
            interval_seconds=None if interval_seconds is None else min(interval_seconds, LONGEST_INTERVAL_SECONDS),
            progress=progress,
            expected_by=budget,
        )
        drafts: list[EventDraft] = []
        if activity is not None and activity[:ACTIVITY_LENGTH] != session.doing:
            # A budget is one activity's own: the next has what it declares, or what the open calls still have.
            session.do(activity, now=now, expected_by=budget or ToolCall.objects.longest_budget(session))
            drafts.append(EventDraft(type="server.activity_changed", payload={"activity": session.doing}))
        session.record([*drafts, *liveness.settle(session, now)], now=now)
    return session


def abandon(session_id: int, *, by: str, now: datetime | None = None) -> Session:
    """Close what an agent left open when it went away (LIVENESS.md, "How it is found", 7); nothing does so by time.

    Its open turns end as `abandoned`, open calls are aborted, open requests and commands of those turns expire, and
    the session rests: `idle`, since `error` is a word of the agent's own. `by` says who asked ("user:3", "shell").
    Raises `NotFound`, or `Conflict` when nothing is open.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        turns = list(Turn.objects.filter(session=session).open())
        if not turns and not session.is_running:
            raise Conflict("This session does not run, and none of its turns is open.")
        stage = Stage(session=session, now=now, seq=session.last_seq)
        for turn in turns:
            turn.end(TurnEnd.ABANDONED, message="Released by hand: its agent had gone away.", now=now)
        for turn_id in {*(turn.turn_id for turn in turns), session.turn_id, None}:
            close_what_is_open(stage, turn_id)
        payload = {"by": by, "turn_ids": [turn.turn_id for turn in turns]}
        abandoned = EventDraft(type="server.turn_abandoned", payload=payload, turn_id=session.turn_id)
        session.stop_looping()
        session.move_to(State.IDLE, turn_id=None, now=now)
        session.record([abandoned, *liveness.settle(session, now)], now=now)
    return session


def _without_known(session: Session, drafts: Sequence[EventDraft]) -> list[EventDraft]:
    """Return the drafts whose ids this session does not hold and that no earlier one of the batch has."""
    seen = set(Event.objects.known_ids(session, [draft.event_id for draft in drafts if draft.event_id]))
    fresh: list[EventDraft] = []
    for draft in drafts:
        if draft.event_id in seen:
            continue
        if draft.event_id:
            seen.add(draft.event_id)
        fresh.append(draft)
    return fresh
