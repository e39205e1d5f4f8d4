"""What comes in and goes out at Stakpak's door. Unknown fields are passed over: newer agents must get in."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sessions.api.json_format import Time, format_time
from sessions.checkpoints import State
from sessions.models import Checkpoint, Session
from sessions.models.fields import NAME_BYTES, clean_text

CAP = 1000
"""Items that a page has at most."""
U32 = 2**32 - 1
VisibilityWord = Literal["PRIVATE", "PUBLIC"]
StatusWord = Literal["ACTIVE", "DELETED"]


def _fit_title(value: Any) -> Any:
    """Return a title that can be kept: the client makes it of the first words typed, however long they are."""
    return clean_text(value).encode()[:NAME_BYTES].decode(errors="ignore") if isinstance(value, str) else value


Title = Annotated[str, BeforeValidator(_fit_title)]
Limit = Annotated[int, Field(ge=0, le=U32, description=f"At most {CAP:,} come; 0 is an empty page.")]
Offset = Annotated[int, Field(ge=0, le=U32)]


class ListSessionsIn(BaseModel):
    """Filters of the list; all that are given must hold."""

    limit: Limit = 100
    offset: Offset = 0
    search: str | None = Field(default=None, description="Part of the title; ASCII letters in any case.")
    status: Literal["ACTIVE", "DELETED", "ALL"] = "ACTIVE"
    visibility: VisibilityWord | None = None


class ListCheckpointsIn(BaseModel):
    """What to list."""

    limit: Limit = 100
    offset: Offset = 0
    include_state: bool = False


class CreateSessionIn(BaseModel):
    """A session and the state of its first checkpoint."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{
            "title": "Make the build faster", "visibility": "PRIVATE", "cwd": "/home/ada/engine",
            "state": {"messages": [{"role": "user", "content": "Make the build faster."}]},
        }]}
    )  # fmt: skip

    title: Title
    visibility: VisibilityWord | None = None
    cwd: str | None = None
    state: Any = Field(default_factory=dict, description="An object; `messages` is an array of objects.")

    def facts(self) -> dict[str, Any]:
        """Return what a session is born with."""
        said = {"title": self.title, "visibility": self.visibility, "project_root": self.cwd}
        return {name: value for name, value in said.items() if value is not None}


class UpdateSessionIn(BaseModel):
    """What to change; what is absent or null stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Faster builds"}]})

    title: Title | None = None
    visibility: VisibilityWord | None = None


class CreateCheckpointIn(BaseModel):
    """The state at a step: the whole history."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": {"messages": [{"role": "user", "content": "Go on."}]}}]}
    )

    state: Any = Field(default_factory=dict, description="An object; `messages` is an array of objects.")
    parent_id: UUID | None = Field(default=None, description="A checkpoint of this session; kept as given.")


class StateOut(BaseModel):
    """A state, exactly as it was sent."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]] = []
    metadata: Any = None


class CheckpointOut(BaseModel):
    """A checkpoint."""

    id: UUID
    session_id: UUID
    parent_id: UUID | None
    state: StateOut
    created_at: Time
    updated_at: Time


class CheckpointSummaryOut(BaseModel):
    """A checkpoint in a list."""

    id: UUID
    session_id: UUID
    parent_id: UUID | None
    message_count: int
    created_at: Time
    updated_at: Time
    state: StateOut | None = Field(default=None, description="With `include_state` only.")


class SessionOut(BaseModel):
    """A session with its newest checkpoint."""

    id: UUID
    title: str
    visibility: VisibilityWord
    status: StatusWord
    cwd: str | None
    created_at: Time
    updated_at: Time
    deleted_at: Time | None
    active_checkpoint: CheckpointOut | None


class SessionSummaryOut(BaseModel):
    """A session in a list."""

    id: UUID
    title: str
    visibility: VisibilityWord
    status: StatusWord
    cwd: str | None
    created_at: Time
    updated_at: Time
    message_count: int = Field(description="Messages of the newest checkpoint.")
    active_checkpoint_id: UUID
    last_message_at: Time | None


class SessionsOut(BaseModel):
    """Sessions, last changed first."""

    sessions: list[SessionSummaryOut]


class SessionAnswerOut(BaseModel):
    """One session."""

    session: SessionOut


class CreatedOut(BaseModel):
    """A new session and its checkpoint."""

    session_id: UUID
    checkpoint: CheckpointOut


class CheckpointsOut(BaseModel):
    """Checkpoints, the oldest first."""

    checkpoints: list[CheckpointSummaryOut]


class CheckpointAnswerOut(BaseModel):
    """One checkpoint."""

    checkpoint: CheckpointOut


class DeletedOut(BaseModel):
    """That a session is deleted."""

    success: Literal[True]
    deleted_at: Time


class AccountOut(BaseModel):
    """Whose key it is."""

    username: str
    id: str
    first_name: str
    last_name: str
    email: str
    scope: None


class BackendOut(BaseModel):
    """Where sessions are kept, as the trait's `backend_info` tells it; what does not apply is left out."""

    kind: Literal["stakpak-api"]
    endpoint: str


class RulesOut(BaseModel):
    """Rule books; this server keeps none."""

    results: list[Any]


def checkpoint_out(checkpoint: Checkpoint, *, session: Session, state: Any) -> dict[str, Any]:
    """Return a checkpoint with a state that `dump` writes."""
    return {**_checkpoint(checkpoint, session=session), "state": state}


def checkpoint_summary_out(checkpoint: Checkpoint, *, session: Session) -> dict[str, Any]:
    """Return a checkpoint for a list."""
    return {**_checkpoint(checkpoint, session=session), "message_count": checkpoint.message_count}


def _checkpoint(checkpoint: Checkpoint, *, session: Session) -> dict[str, Any]:
    return {
        "id": str(checkpoint.uuid),
        "session_id": str(session.uuid),
        "parent_id": str(checkpoint.parent.uuid) if checkpoint.parent else None,
        "created_at": format_time(checkpoint.created_at),
        "updated_at": format_time(checkpoint.updated_at),
    }


def session_out(session: Session, *, active_checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a session with its newest checkpoint."""
    deleted_at = session.deleted_at
    return {
        **_session(session),
        "deleted_at": format_time(deleted_at) if deleted_at else None,
        "active_checkpoint": active_checkpoint,
    }


def session_summary_out(session: Session) -> dict[str, Any]:
    """Return a session for a list; it came with its checkpoint's id and count."""
    return {
        **_session(session),
        "message_count": session.checkpoint_messages,  # type: ignore[attr-defined] # annotated by the list
        "active_checkpoint_id": str(session.checkpoint_uuid),  # type: ignore[attr-defined]
        "last_message_at": format_time(session.last_activity_at),
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": str(session.uuid),
        "title": session.given_name or "",
        "visibility": session.visibility,
        "status": session.status,
        "cwd": session.project_root,
        "created_at": format_time(session.created_at),
        "updated_at": format_time(session.updated_at),
    }


def state_of(body: CreateSessionIn | CreateCheckpointIn) -> State:
    """Return the state of a body. Raises `InvalidRequest`."""
    return State.of(body.state)
