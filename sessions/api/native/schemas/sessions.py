"""Sessions as they come in and go out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sessions.api.json_format import Time
from sessions.api.native.fields import Key, KeySought, ModeIn
from sessions.liveness import LONGEST_PATIENCE_SECONDS, explain
from sessions.models import Session
from sessions.wire import Name

Order = Literal["-last_activity_at", "last_activity_at", "-created_at", "created_at"]
StateWord = Literal["idle", "running", "error"]
LivenessWord = Literal["live", "quiet", "stuck", "lost", "resting", "unknown"]
NeedsWord = Literal["", "approval", "loop_decision", "input"]
VisibilityWord = Literal["PRIVATE", "PUBLIC"]


class SessionIn(BaseModel):
    """A session to create. What this server does not know is passed over, so that newer agents get in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"agent_name": "koda", "project_root": "/home/ada/engine", "title": "Fix it"}]}
    )

    agent_name: Annotated[Name, Field(min_length=1)]
    project_root: Name | None = None
    id: UUID | None = Field(default=None, description="The client's own id; the server makes one otherwise.")
    key: Key | None = Field(default=None, description="The client's own name for it, once in its source.")
    title: Name | None = None
    visibility: VisibilityWord | None = None
    mode: ModeIn | None = None
    model: Name | None = None
    provider: Name | None = None
    parent_id: UUID | None = Field(default=None, description="The session whose sub-agent this is.")
    parent_tool_call_id: Name | None = None

    def facts(self) -> dict[str, Any]:
        """Return what was said, by column, without the ids, which the route looks up."""
        said = self.model_dump(exclude_unset=True, exclude={"id", "parent_id", "agent_name"})
        if said.get("visibility") is None:
            said.pop("visibility", None)
        return said


class SessionPatchIn(BaseModel):
    """What to change. A field that cannot be changed is refused rather than passed over."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Fix the flaky test"}]})

    title: Name | None = Field(default=None, description="null or an empty text clears it.")
    visibility: VisibilityWord = "PRIVATE"
    mode: ModeIn | None = None
    model: Name | None = None
    provider: Name | None = None
    stuck_after_secs: Annotated[int, Field(ge=1, le=LONGEST_PATIENCE_SECONDS)] | None = Field(
        default=None, description="Seconds without progress until it is stuck; null: as its agent's or the server's."
    )


class ForkIn(BaseModel):
    """Where the new session goes on from: one of the two, or neither."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message_id": 42, "title": "Another way"}]})

    message_id: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="The last message that it has."
    )
    checkpoint_id: UUID | None = Field(default=None, description="A checkpoint of this session.")
    title: Name | None = Field(default=None, description="`Fork of …` when absent.")

    @model_validator(mode="after")
    def _require_one_point(self) -> "ForkIn":
        if self.message_id is not None and self.checkpoint_id is not None:
            raise ValueError("message_id and checkpoint_id exclude each other")
        return self


class SessionListIn(BaseModel):
    """Filters of the list; all that are given must hold."""

    project_root: Name | None = Field(default=None, description="Exactly this one, or none at all (Koda's rule).")
    agent_name: Name | None = None
    key: KeySought | None = Field(default=None, description="Exactly this one.")
    source: Name | None = None
    state: StateWord | None = None
    liveness: LivenessWord | None = None
    needs: Literal["approval", "loop_decision", "input", "any", "none"] | None = Field(
        default=None, description="What a person must do; `any` finds all that wait, `none` the others."
    )
    status: Literal["ACTIVE", "DELETED", "ALL"] = "ACTIVE"
    visibility: VisibilityWord | None = None
    parent_id: UUID | None = None
    q: Name | None = Field(default=None, description="Part of title, key, agent or project.")
    order: Order = Field(default="-last_activity_at", description="Ties are broken by insertion.")


class SessionOut(BaseModel):
    """A session."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    key: str | None
    source: str
    agent_name: str
    project_root: str | None
    title: str | None
    visibility: VisibilityWord
    status: Literal["ACTIVE", "DELETED"]
    mode: Literal["plan", "safe", "auto"] | None
    model: str | None
    provider: str | None
    parent_id: UUID | None
    parent_tool_call_id: str | None
    state: StateWord
    turn_id: str | None
    turn_started_at: Time | None
    liveness: LivenessWord
    liveness_since: Time
    liveness_reason: str = Field(description="Why, in words that are true at the moment of the answer.")
    liveness_seq: int | None = Field(description="The event that proves it: of a silence, the last before it.")
    next_check_at: Time | None = Field(
        description="When it is judged again, or a person reminded; null: not without a new sign."
    )
    needs: NeedsWord = Field(description="What a person must do; empty when nothing.")
    loop: str | None = Field(description="What the agent repeats, such as `same call` and how often; null: nothing.")
    stuck_after_secs: int | None = Field(description="Its own threshold, where it has one.")
    created_at: Time
    updated_at: Time
    last_activity_at: Time
    message_count: int
    total_tokens: int = Field(description="Prompt and completion tokens ever used; no purge lowers it.")
    active_checkpoint_id: UUID | None
    last_seq: int = Field(description="The newest seq of its log.")

    @classmethod
    def of(cls, session: Session) -> "SessionOut":
        """Return what to show of a session that came with its relatives' ids (`with_ids`)."""
        return cls.model_construct(**_columns(session))


class RunningSessionOut(SessionOut):
    """A session that runs, and for how long."""

    age_secs: float | None = Field(description="Seconds since the turn began; null when nobody said when.")

    @classmethod
    def at(cls, session: Session, now: datetime) -> "RunningSessionOut":
        """Return what to show of a running session at `now`."""
        began = session.turn_started_at
        age = None if began is None else (now - began).total_seconds()
        return cls.model_construct(**_columns(session), age_secs=age)


class DeletedOut(BaseModel):
    """Whether there was something to delete."""

    deleted: bool = Field(examples=[True])


_OWN = {"id", "parent_id", "active_checkpoint_id", "liveness_reason", "next_check_at", "loop", "stuck_after_secs"}
_SAME = tuple(name for name in SessionOut.model_fields if name not in _OWN)


def _columns(session: Session) -> dict[str, Any]:
    """Return the fields of `SessionOut` by name."""
    return {name: getattr(session, name) for name in _SAME} | {
        "id": session.uuid,
        "liveness_reason": explain(session, timezone.now()),
        "next_check_at": session.next_deadline_at,
        "loop": None if session.loop is None else str(session.loop),
        "stuck_after_secs": session.stuck_after_seconds,
        "parent_id": session.parent_uuid,  # type: ignore[attr-defined] # annotated by `with_ids`
        "active_checkpoint_id": session.active_checkpoint_uuid,  # type: ignore[attr-defined]
    }
