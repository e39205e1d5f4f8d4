"""Purges: what is asked for, what would go, what went."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from sessions.api.json_format import Time
from sessions.models import Receipt
from sessions.retention import Policy
from sessions.retention.rules import LONGEST_DAYS, LONGEST_HOURS
from sessions.wire import Name


class PurgeByIn(BaseModel):
    """A policy and its age: `ttl_hours` for `stale`, `older_than_days` for the others, both strictly more."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"policy": "compacted", "older_than_days": 90, "dry_run": True}]},
    )

    policy: Policy
    older_than_days: Annotated[int, Field(strict=True, ge=0, le=LONGEST_DAYS)] | None = Field(
        None, description="Of compaction, deletion or receipt; 0 means all."
    )
    ttl_hours: Annotated[int, Field(strict=True, ge=0, le=LONGEST_HOURS)] | None = Field(
        None, description="Since the last activity; 0 is refused unless `force`."
    )
    include_running: bool = Field(default=False, description="With `stale`: sessions whose agent works, too.")
    project_root: Name | None = Field(None, description="Only sessions of this project.")
    source: Name | None = Field(None, description="Only sessions of this installation.")
    force: bool = False
    dry_run: bool = False


class PurgedByOut(BaseModel):
    """What went, or with `dry_run` would go: rows by table, sessions destroyed or shortened, bytes of text."""

    dry_run: bool
    policy: str
    counts: dict[str, int] = Field(examples=[{"messages": 11204, "tool_calls": 310, "events": 5210}])
    session_count: int
    size_bytes: int
    kept: int = Field(description="Sessions that are due and stay, because one below them stays.")
    receipt: UUID | None = Field(description="Null when nothing was destroyed.")


class ReceiptOut(BaseModel):
    """What one purge destroyed."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(validation_alias="uuid")
    policy: str
    rule: str = Field(examples=["archived more than 90 days ago"])
    criteria: dict[str, Any]
    by: str
    counts: dict[str, int]
    session_count: int
    size_bytes: int = Field(validation_alias="size")
    bytes_before: int | None = Field(description="Size of the database; null for who is not staff.")
    bytes_after: int | None
    is_complete: bool
    started_at: Time
    ended_at: Time

    @classmethod
    def of(cls, receipt: Receipt, *, shows_database: bool) -> "ReceiptOut":
        """Return a receipt as it goes out; how large the database is tells what others keep."""
        shown = cls.model_validate(receipt)
        hidden = {} if shows_database else {"bytes_before": None, "bytes_after": None}
        return shown.model_copy(update=hidden)
