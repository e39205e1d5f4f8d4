"""What else a session keeps: metadata, the to-do list, files; and what compactions archived."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sessions.api.json_format import Time
from sessions.wire import Name, Written


class ValueIn(BaseModel):
    """A value to keep."""

    value: Written = Field(examples=["3 of 7 steps done"])


class ValueOut(BaseModel):
    """A value."""

    value: str


class MetadataOut(BaseModel):
    """A value with its key."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    value: str
    updated_at: Time


class MetadataListOut(BaseModel):
    """All metadata of a session, by key."""

    items: list[MetadataOut]


class TodoIn(BaseModel):
    """A to-do list; null clears it."""

    content: Written | None = Field(examples=["- [x] read\n- [ ] write"])


class TodoOut(BaseModel):
    """The to-do list, or null."""

    content: str | None


class FileIn(BaseModel):
    """A file that the session created, as it named it."""

    path: Annotated[Name, Field(min_length=1)] = Field(examples=["/home/ada/engine/notes.md"])


class FileOut(BaseModel):
    """A file that the session created."""

    model_config = ConfigDict(from_attributes=True)

    path: str
    created_at: Time


class AddedOut(BaseModel):
    """Whether it is new."""

    added: bool


class CompactIn(BaseModel):
    """What stands for the archived messages, and how many stay."""

    summary: Written
    preserve_count: Annotated[int, Field(strict=True, ge=0)] = Field(
        description="Messages of the context that stay, the newest; tool rows count.", examples=[4]
    )


class CompactedOut(BaseModel):
    """How many messages were archived; 0 when there was nothing to archive, and then nothing was added."""

    compacted: int


class ArchivedStatsOut(BaseModel):
    """What compactions archived in the sessions of the key's user."""

    model_config = ConfigDict(from_attributes=True)

    message_count: int
    session_count: int
    size_bytes: int = Field(description="As Koda counts: characters; a row without content adds nothing.")
    true_size_bytes: int = Field(description="In bytes of UTF-8.")
    oldest: Time | None = Field(description="When the oldest of them was archived.")


class PurgeIn(BaseModel):
    """Which archived messages to destroy."""

    min_age_days: Annotated[int, Field(strict=True, ge=0, le=36_500)] = Field(
        description="Days since the compaction, strictly more; 0 means all.", examples=[30]
    )
    dry_run: bool = False


class PurgedOut(BaseModel):
    """How many messages were destroyed, or with `dry_run` would be."""

    purged: int
