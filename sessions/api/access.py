"""Which session a caller may touch, and for what. One rule for all doors (API.md section 1, "Who sees what").

What the caller's user may not see is not found. What they see and may not do is forbidden.
"""

from collections.abc import Callable
from uuid import UUID

from sessions.api.auth import Caller
from sessions.exceptions import Forbidden, NotFound
from sessions.models import Checkpoint, Scope, Session
from sessions.models.session_rows import SessionQuerySet


def visible(caller: Caller) -> SessionQuerySet:
    """Return the sessions that the caller may read. Raises `Forbidden` for a key without the scope `read`."""
    caller.require(Scope.READ)
    return Session.objects.visible_to(caller.user)


def find_to_read(
    caller: Caller, session_id: UUID, *, look: Callable[..., Session] = Session.objects.readable
) -> Session:
    """Return a session whose content the caller may read. Raises `NotFound` or `Forbidden`.

    `look` finds it by its id among what a `user` may see.
    """
    session = look(session_id, user=caller.user)
    caller.require(Scope.READ)
    return session


def find_to_ask(caller: Caller, session_id: UUID) -> Session:
    """Return a session whose state and commands the caller may read.

    A key that may only write gets to see these, and nothing else, of its own source.
    """
    session = Session.objects.readable(session_id, user=caller.user)
    if not (caller.has(Scope.WRITE) and is_own(caller, session)):
        caller.require(Scope.READ)
    return session


def find_to_write(caller: Caller, session_id: UUID) -> Session:
    """Return a session to which the caller may add."""
    return _find_to_change(caller, session_id, Scope.WRITE)


def find_to_control(caller: Caller, session_id: UUID) -> Session:
    """Return a session over which the caller may rule."""
    return _find_to_change(caller, session_id, Scope.CONTROL)


def find_checkpoint(caller: Caller, checkpoint_id: UUID) -> Checkpoint:
    """Return a checkpoint, with its session and parent, whose state the caller may read."""
    rows = Checkpoint.objects.select_related("session", "parent")
    found = rows.filter(uuid=checkpoint_id).first()
    if found is None or not found.session.may_be_read_by(caller.user):
        raise NotFound("No such checkpoint.")
    caller.require(Scope.READ)
    return found


def is_own(caller: Caller, session: Session) -> bool:
    """Say whether the caller speaks for the installation that the session belongs to."""
    return session.owner_id == caller.user.pk and session.source == caller.source


def require_sight(caller: Caller, session: Session) -> None:
    """Raise `Forbidden` unless an answer may show the session itself: a write key knows only its own source."""
    if not is_own(caller, session):
        caller.require(Scope.READ)


def _find_to_change(caller: Caller, session_id: UUID, scope: str) -> Session:
    session = Session.objects.addressed(session_id, user=caller.user)
    caller.require(scope)
    if not session.may_be_changed_by(caller.user):
        raise Forbidden("This session belongs to somebody else: it may be read, not changed.")
    return session
