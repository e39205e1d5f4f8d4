"""Sessions as people name them at the shell."""

import uuid

from django.core.management.base import CommandError

from sessions.models import Session


def find_session(name: str) -> Session:
    """Return the session with this id, its owner loaded. Raises `CommandError`."""
    try:
        return Session.objects.select_related("owner").get(uuid=uuid.UUID(name))
    except (ValueError, Session.DoesNotExist):
        raise CommandError(f"There is no session {name}.") from None
