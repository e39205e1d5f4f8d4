"""Checkpoints as they come in and go out, and what changed between two of them."""

from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from sessions.api.json_format import Time, format_time
from sessions.comparing import Comparison, FieldChange, MessageChange
from sessions.models import Checkpoint
from sessions.models.exact_json import load_exact


class CheckpointIn(BaseModel):
    """The state at a step: the whole history."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": {"messages": [{"role": "user", "content": "Go on."}]}}]}
    )

    state: Any = Field(default_factory=dict, description="An object; `messages` is an array of objects.")
    parent_id: UUID | None = Field(default=None, description="A checkpoint of this session; kept as given.")


class CheckpointRowOut(BaseModel):
    """A checkpoint in a list."""

    id: UUID
    session_id: UUID
    seq: int = Field(description="From 1 without gaps in its session; the newest is the active one.")
    parent_id: UUID | None = Field(description="As its sender named it.")
    continues_seq: int | None = Field(description="The checkpoint whose history it goes on from.")
    kept_count: int = Field(description="Messages that it has in common with that one.")
    branch: int = Field(description="0 is the first line; each rewritten history begins one.")
    message_count: int
    created_at: Time
    updated_at: Time
    state: Any = Field(default=None, description="As it was sent; in lists with `include_state` only.")


class CheckpointOut(CheckpointRowOut):
    """A checkpoint with its state, exactly as it was sent."""

    state: dict[str, Any]


class MessageChangeOut(BaseModel):
    """A message that one side lacks, or that both have in other words. Places count from 1."""

    kind: Literal["added", "removed", "changed"]
    before_at: int | None
    after_at: int | None
    before: Any = Field(description="As the older state has it; null when it was added.")
    after: Any = Field(description="As the newer state has it; null when it was removed.")
    is_only_worded: bool = Field(description="The same message: tokens came or went, or white space at its end.")


class FieldChangeOut(BaseModel):
    """A field of the state beside its messages. A side without the field is left out."""

    name: str
    before: Any = None
    after: Any = None


class ComparisonOut(BaseModel):
    """All that differs, in the order of the histories."""

    id: UUID
    against_id: UUID | None = Field(description="Null: compared with nothing, since it is the first.")
    same_count: int
    added_count: int
    removed_count: int
    changed_count: int
    messages: list[MessageChangeOut]
    fields: list[FieldChangeOut]


def checkpoint_out(checkpoint: Checkpoint, *, session_id: UUID, **state: Any) -> dict[str, Any]:
    """Return a checkpoint, which came with its parent, with its `state` if there is one, for `answer`."""
    same = ("seq", "continues_seq", "kept_count", "branch", "message_count")
    return {
        "id": str(checkpoint.uuid),
        "session_id": str(session_id),
        "parent_id": str(checkpoint.parent.uuid) if checkpoint.parent else None,
        **{name: getattr(checkpoint, name) for name in same},
        "created_at": format_time(checkpoint.created_at),
        "updated_at": format_time(checkpoint.updated_at),
        **state,
    }


def comparison_out(found: Comparison, *, checkpoint: Checkpoint, against: Checkpoint | None) -> dict[str, Any]:
    """Return a comparison for `answer`; numbers of the states are as they were sent."""
    counts = {f"{kind}_count": found.count(kind) for kind in ("added", "removed", "changed")}
    return {
        "id": str(checkpoint.uuid),
        "against_id": str(against.uuid) if against else None,
        "same_count": found.same_count,
        **counts,
        "messages": [_message_change(change) for change in found.messages],
        "fields": list(_field_changes(found.fields)),
    }


def _message_change(change: MessageChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "before_at": change.before_at,
        "after_at": change.after_at,
        "before": None if change.before is None else load_exact(change.before),
        "after": None if change.after is None else load_exact(change.after),
        "is_only_worded": change.is_only_worded,
    }


def _field_changes(changes: Iterable[FieldChange]) -> Iterable[dict[str, Any]]:
    for change in changes:
        sides = {"before": change.before, "after": change.after}
        yield {"name": change.name, **{side: load_exact(text) for side, text in sides.items() if text is not None}}
