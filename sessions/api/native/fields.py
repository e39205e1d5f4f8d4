"""What the schemas of this contract have in common beside what all doors take (`wire`): keys, modes, arrays."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from sessions.exceptions import InvalidRequest
from sessions.models import Mode
from sessions.models.fields import clean_json, require_name
from sessions.models.session_rows import KEY_BYTES


def _require_key(value: str) -> str:
    try:
        return require_name("", value, longest_bytes=KEY_BYTES)
    except InvalidRequest as error:
        raise ValueError(error.errors[0].message) from None


def _read_mode(value: str) -> str:
    if mode := Mode.named(value):
        return mode.value
    raise ValueError(f"must be one of {', '.join(Mode.values)}")


Key = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_require_key)]
"""A client's own name for a session."""

KeySought = Annotated[str, Field(max_length=KEY_BYTES), AfterValidator(_require_key)]
"""A key by which a list is narrowed, whichever door took it."""

WrittenJson = Annotated[list[Any], BeforeValidator(clean_json)]
"""An array that an agent wrote, cleaned alike."""

ModeIn = Annotated[str, AfterValidator(_read_mode), Field(description="plan, safe or auto; Koda's older words too.")]
"""How far the agent is trusted."""
