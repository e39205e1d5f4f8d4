"""What an import has changed, and the name under which it does so."""

from dataclasses import dataclass, field

BY = "importer"


@dataclass(kw_only=True, slots=True)
class Written:
    """What an import has changed so far; the sessions of `deleted_sessions` were deleted here and stay so."""

    sessions: int = 0
    messages: int = 0
    known_messages: int = 0
    compactions: int = 0
    removed_messages: int = 0
    removed_sessions: int = 0
    deleted_sessions: set[str] = field(default_factory=set)
