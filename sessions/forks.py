"""Forks: a new session that goes on from a checkpoint of another one."""

from datetime import datetime

from sessions import checkpoints, pool
from sessions.models import Checkpoint, Session
from sessions.models.fields import NAME_BYTES


def fork(checkpoint: Checkpoint, *, by: str, title: str | None = None, now: datetime | None = None) -> Session:
    """Begin a session whose only checkpoint has the state of this one, exactly; return it.

    It belongs to the same owner and source, is private, and has the other session as its parent. Nobody works in it
    until an agent goes on, and its tokens are its own: those of the history were counted where they were spent.
    """
    origin = checkpoint.session
    facts = {
        "title": title or _fitted(f"Fork of {origin.display_title}"),
        "project_root": origin.project_root,
        "model": origin.model,
        "provider": origin.provider,
        "mode": origin.mode,
    }
    made = checkpoints.begin(
        owner=origin.owner, source=origin.source, agent_name=origin.agent_name, by=by, now=now, is_copy=True,
        state=checkpoints.State(tuple(pool.read(checkpoint)), checkpoint.rest), parent=origin,
        **{name: value for name, value in facts.items() if value is not None},
    )  # fmt: skip
    return made.session


def _fitted(title: str) -> str:
    return title.encode()[:NAME_BYTES].decode(errors="ignore")
