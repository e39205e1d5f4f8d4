"""What the server concluded, as it goes out: findings of one session, incidents of a source."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from sessions.api.json_format import Time


class FindingOut(BaseModel):
    """Something that does not fit together, and where its evidence stands."""

    model_config = ConfigDict(from_attributes=True)

    kind: Literal["loop", "call_without_result", "result_without_call", "turn_without_end"]
    sentence: str = Field(examples=["Bash cargo test has no result: the turn ended first."])
    seq: int | None = Field(description="The event that tells of it.")
    message_id: int | None
    turn_id: str | None


class FindingsOut(BaseModel):
    """All findings of a session: by kind, the newest first, at most 50 of each."""

    items: list[FindingOut]


class IncidentOut(BaseModel):
    """Most of one installation's running sessions fell silent together."""

    source: str
    since: Time = Field(description="When the last of them was heard from.")
    count: int
    running: int = Field(description="Sessions of this source that run and wait for nobody, the silent ones included.")
    sessions: list[UUID]


class IncidentsOut(BaseModel):
    """The incidents that go on now, the oldest first."""

    items: list[IncidentOut]
