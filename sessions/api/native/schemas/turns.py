"""Events, turns, states and heartbeats as they come in and go out."""

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from sessions.api.json_format import Time
from sessions.api.native.schemas.commands import HandedOverOut
from sessions.api.native.schemas.sessions import StateWord
from sessions.models import Event, Turn
from sessions.wire import EventList, Name


class EventsIn(BaseModel):
    """A batch; all of it is stored or nothing."""

    events: EventList


class IngestedOut(BaseModel):
    """What became of a batch, and what the agent should do."""

    stored: int = Field(description="Events as sent, without duplicates.", examples=[12])
    duplicates: int = Field(examples=[0])
    last_seq: int = Field(description="The newest seq of the log.", examples=[345])
    commands: list[HandedOverOut] = Field(description="For a write key of the session's source; now delivered.")


class EventOut(BaseModel):
    """A row of the log: the fields as sent, beside the envelope. A joined run of deltas is one row."""

    model_config = ConfigDict(extra="allow")

    seq: int = Field(description="From 1 without gaps, per session.")
    type: str
    event_id: str | None
    at: Time | None
    turn_id: str | None
    received_at: Time

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        """Return what to show of an event. A field of the sender's that is called like one of the row's yields."""
        own = {name: getattr(event, name) for name in cls.model_fields}
        row = cls.model_construct(**own)
        row.__pydantic_extra__ = {name: value for name, value in event.payload.items() if name not in own}
        return row


class StateIn(BaseModel):
    """A state to set; each `running` starts the clock anew."""

    state: StateWord = Field(examples=["running"])
    turn_id: Name | None = None


class StateOut(BaseModel):
    """What the agent said of itself."""

    model_config = ConfigDict(from_attributes=True)

    state: StateWord
    turn_id: str | None
    turn_started_at: Time | None


ReasonWord = Literal["complete", "cancelled", "error", "abandoned"]


class ReasonOut(BaseModel):
    """Why a turn ended."""

    kind: ReasonWord
    message: str | None


class TurnTokensOut(BaseModel):
    """The figures of a turn's footer; null where none came."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cache_read_tokens: int | None
    thinking_tokens: int | None


class TurnToolsOut(BaseModel):
    """The tool calls of a turn by outcome; what is missing to the total is pending."""

    total: int
    successful: int
    failed: int
    rejected: int
    aborted: int


class TurnOut(BaseModel):
    """A turn."""

    turn_id: str
    started_at: Time | None = Field(description="null when its start was never seen.")
    ended_at: Time | None
    reason: ReasonOut | None
    elapsed_ms: int | None
    tokens: TurnTokensOut
    tools: TurnToolsOut

    @classmethod
    def of(cls, turn: Turn, *, tools: dict[str, int]) -> "TurnOut":
        """Return what to show of a turn whose calls ended as `tools` says."""
        reason = turn.reason and ReasonOut(kind=cast("ReasonWord", turn.reason), message=turn.reason_message)
        return cls.model_construct(
            turn_id=turn.turn_id,
            started_at=turn.started_at,
            ended_at=turn.ended_at,
            reason=reason or None,
            elapsed_ms=turn.elapsed_ms,
            tokens=TurnTokensOut.model_construct(**{name: getattr(turn, name) for name in TurnTokensOut.model_fields}),
            tools=TurnToolsOut.model_construct(
                total=turn.tool_call_count,
                successful=tools.get("success", 0),
                failed=tools.get("failed", 0),
                rejected=tools.get("rejected", 0),
                aborted=tools.get("aborted", 0),
            ),
        )


class CommandsOut(BaseModel):
    """What the agent should do; now delivered."""

    commands: list[HandedOverOut]
