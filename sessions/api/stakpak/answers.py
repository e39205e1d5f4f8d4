"""Sessions and checkpoints of this contract: which a caller may touch, and how they are shown."""

from typing import Any

from django.http import HttpRequest

from sessions import checkpoints
from sessions.api import access
from sessions.api.auth import Caller, authenticate
from sessions.api.stakpak.schemas import checkpoint_out, session_out
from sessions.exceptions import Forbidden, NotFound
from sessions.models import Checkpoint, Session


def find_to_read(request: HttpRequest, session_id: Any) -> Session:
    """Return a session whose content the caller may read. Raises `NotFound` or `Forbidden`."""
    return access.find_to_read(authenticate(request), session_id, look=Session.objects.listed)


def find_to_write(request: HttpRequest, session_id: Any) -> tuple[Caller, Session]:
    """Return the caller and a session that they may change. Raises `NotFound` or `Forbidden`."""
    caller = authenticate(request)
    try:
        session = access.find_to_write(caller, session_id)
    except Forbidden:
        caller.require("write")
        raise Forbidden("read only") from None
    if session.active_checkpoint_id is None:
        raise NotFound("No such session.")
    return caller, session


def shown(session: Session) -> dict[str, Any]:
    """Return a session with the state of its newest checkpoint."""
    newest = session.active_checkpoint
    assert newest is not None
    return session_out(session, active_checkpoint=shown_checkpoint(newest, session=session))


def shown_checkpoint(checkpoint: Checkpoint, *, session: Session) -> dict[str, Any]:
    """Return a checkpoint with its state."""
    return checkpoint_out(checkpoint, session=session, state=checkpoints.read(checkpoint))
