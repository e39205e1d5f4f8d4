"""Commands as they come in, go out and are handed to agents."""

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sessions.api.json_format import Time
from sessions.models import Command
from sessions.models.fields import clean_json

StatusWord = Literal["requested", "delivered", "obeyed", "refused", "expired"]


class CommandIn(BaseModel):
    """An EngineCommand (contracts of Koda): a flat object with its `type`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"type": "interrupt"},
                {"type": "approval_response", "id": "a1", "decision": {"decision": "approve"}},
                {"type": "user_prompt", "text": "And now the tests."},
            ]
        },
    )

    type: str = Field(
        description="interrupt, approval_response, loop_decision, user_prompt, ask_user_response, slash_command, quit"
    )

    @model_validator(mode="before")
    @classmethod
    def _clean(cls, body: Any) -> Any:
        return clean_json(body)

    def body(self) -> dict[str, Any]:
        """Return the command as it is handed out."""
        return {"type": self.type, **(self.__pydantic_extra__ or {})}


class AskedOut(BaseModel):
    """Where a command stands."""

    id: int
    status: StatusWord

    @classmethod
    def of(cls, command: Command) -> "AskedOut":
        """Return what to show of a command."""
        return cls(id=command.pk, status=cast("StatusWord", command.status))


class HandedOverOut(BaseModel):
    """A command as an agent gets it."""

    id: int
    command: dict[str, Any] = Field(examples=[{"type": "interrupt"}])
    created_at: Time

    @classmethod
    def of(cls, command: Command) -> "HandedOverOut":
        """Return what to hand over."""
        return cls.model_construct(id=command.pk, command=command.body, created_at=command.created_at)
