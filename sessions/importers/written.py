"""What an import has changed, and the name under which it does so."""

from dataclasses import dataclass, field

BY = "importer"


@dataclass(kw_only=True, slots=True)
class Written:
    """What an import has changed so far.

    The sessions of `deleted_sessions` were deleted here and stay so; those of `foreign_sessions` are an agent's own
    here, written under the same keys, and were left alone.
    """

    sessions: int = 0
    messages: int = 0
    known_messages: int = 0
    compactions: int = 0
    changed_messages: int = 0
    checkpoints: int = 0
    removed_messages: int = 0
    removed_sessions: int = 0
    deleted_sessions: set[str] = field(default_factory=set)
    foreign_sessions: set[str] = field(default_factory=set)
