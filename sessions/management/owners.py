"""Whose sessions a command writes when nobody says."""

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DEFAULT_OWNER = "owner"


def find_owner(username: str | None) -> "User":
    """Return the named user, else `owner`, else the only one. Raises `CommandError` when that is not clear."""
    users = get_user_model().objects
    if username is not None:
        user = users.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        return user
    user = users.filter(username=DEFAULT_OWNER).first()
    if user is not None:
        return user
    if users.count() != 1:
        raise CommandError("Say with --user who shall own the sessions.")
    return users.get()
