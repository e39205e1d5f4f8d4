"""What comes in and goes out at ZeroClaw's door."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sessions.api.json_format import Time
from sessions.api.zeroclaw.paths import decoded_key
from sessions.exceptions import InvalidRequest
from sessions.models import Session
from sessions.models.fields import NAME_BYTES, clean_text, require_name
from sessions.models.session_rows import KEY_BYTES

LONGEST_KEY = 1024
"""Characters."""
LARGEST = 2**64 - 1
"""The largest number that the trait can hold; the largest that means anything is far smaller."""
StateWord = Literal["idle", "running", "error"]


def _require_name(value: str, *, longest_bytes: int) -> str:
    try:
        return require_name("", value, longest_bytes=longest_bytes)
    except InvalidRequest as error:
        raise ValueError(error.errors[0].message) from None


def _read_key(part: str) -> str:
    key = decoded_key(part)
    if not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError(f"must have 1 to {LONGEST_KEY:,} characters")
    return _require_name(key, longest_bytes=KEY_BYTES)


def _clean(value: Any) -> Any:
    return clean_text(value) if isinstance(value, str) else value


Key = Annotated[
    str,
    AfterValidator(_read_key),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_KEY,
            "description": "Any text, percent-encoded as one part of the path: `/` is `%2F`, `.` may be `%2E`.",
            "examples": ["telegram_user123"],
        }
    ),
]
"""The client's own name for a session, within the source of its API key."""

Name = Annotated[str, AfterValidator(lambda value: _require_name(value, longest_bytes=NAME_BYTES))]
Written = Annotated[str, BeforeValidator(_clean)]
Unsigned = Annotated[int, Field(ge=0, le=LARGEST)]


class MessageIn(BaseModel):
    """A message."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "user", "content": "Make the build faster."}]})

    role: Name = Field(min_length=1, description=f"Any text of at most {NAME_BYTES:,} bytes.")
    content: Written = Field(description="NUL and broken Unicode become U+FFFD.")


class AppendIn(MessageIn):
    """A message to append."""

    client_id: Annotated[Name, Field(min_length=1)] | None = Field(
        default=None, description="The client's own id; a repeat is not stored again."
    )


class MessageOut(BaseModel):
    """A message."""

    role: str
    content: str


class MessagesOut(BaseModel):
    """All messages of a session, by insertion."""

    messages: list[MessageOut]


class AppendedOut(BaseModel):
    """What an append leaves."""

    message_count: int = Field(description="Messages of the session.", examples=[1])


class RemovedOut(BaseModel):
    """Whether there was a message to remove."""

    removed: bool


class UpdatedOut(BaseModel):
    """Whether there was a message to replace."""

    updated: bool


class ClearedOut(BaseModel):
    """How many messages were cleared."""

    cleared: int


class SessionOut(BaseModel):
    """A session's metadata."""

    key: str
    name: str | None = Field(description="What `set_session_name` gave it, or a person; null when nobody did.")
    created_at: Time = Field(description="When the first message was appended.")
    last_activity: Time = Field(description="When a message was last appended, replaced or cleared.")
    message_count: int

    @classmethod
    def of(cls, session: Session) -> "SessionOut":
        """Return what to show of a session."""
        return cls.model_construct(**_metadata(session))


class RunningSessionOut(SessionOut):
    """A session that runs, and its turn."""

    turn_id: str | None
    turn_started_at: Time | None

    @classmethod
    def of(cls, session: Session) -> "RunningSessionOut":
        """Return what to show of a session."""
        turn = {"turn_id": session.turn_id, "turn_started_at": session.turn_started_at}
        return cls.model_construct(**_metadata(session), **turn)


class SessionsOut(BaseModel):
    """Sessions."""

    sessions: list[SessionOut]


class RunningSessionsOut(BaseModel):
    """Sessions that run."""

    sessions: list[RunningSessionOut]


class KeysOut(BaseModel):
    """Keys of sessions."""

    keys: list[str]


class DeletedOut(BaseModel):
    """Whether there was a session to delete."""

    deleted: bool


class OkOut(BaseModel):
    """Done."""

    ok: Literal[True]


class CleanupIn(BaseModel):
    """What is stale."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ttl_hours": 720, "dry_run": True}]})

    ttl_hours: Unsigned = Field(description="Hours since the last activity; 0 removes nothing, unless forced.")
    dry_run: bool = Field(default=False, description="Only say what would be removed.")
    include_running: bool = Field(default=True, description="Whatever its state, as in ZeroClaw.")
    force: bool = Field(default=False, description="Let `ttl_hours` 0 remove all that was active before this moment.")


class CleanupOut(BaseModel):
    """What was removed, or would be."""

    removed: int
    keys: list[str] = Field(description="The longest idle first.")


class NameIn(BaseModel):
    """A name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "morning briefing"}]})

    name: Name = Field(description="Kept exactly as written; an empty one clears it.")


class NameOut(BaseModel):
    """The name of a session."""

    name: str | None = Field(description="null: it has none.")

    @classmethod
    def of(cls, session: Session | None) -> "NameOut":
        """Return the name of a session, or of none."""
        return cls(name=None if session is None else session.given_name)


class StateIn(BaseModel):
    """A state."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "running", "turn_id": "t-17"}]})

    state: StateWord
    turn_id: Name | None = Field(default=None, description="Kept exactly as sent; without one it is cleared.")


class StateOut(BaseModel):
    """The state of a session."""

    state: StateWord | None = Field(description="null after setting the state of an unknown session: nothing was made.")
    turn_id: str | None
    turn_started_at: Time | None = Field(description="Set by each `running`, cleared by the others.")

    @classmethod
    def of(cls, session: Session | None) -> "StateOut":
        """Return the state of a session, or of none."""
        if session is None:
            return cls(state=None, turn_id=None, turn_started_at=None)
        turn = {"turn_id": session.turn_id, "turn_started_at": session.turn_started_at}
        return cls.model_construct(**{"state": session.state, **turn})


def _metadata(session: Session) -> dict[str, Any]:
    return {
        "key": session.key,
        "name": session.given_name,
        "created_at": session.created_at,
        "last_activity": session.last_activity_at,
        "message_count": session.message_count,
    }
