"""Imported sessions that were destroyed here: whoever reads their store again must not bring them back."""

import uuid as uuids
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.models import AbstractBaseUser
from django.db import models

from sessions.models.session_rows import digest_of_key

if TYPE_CHECKING:
    from sessions.models.session import Session


class PurgedSessionManager(models.Manager["PurgedSession"]):
    """Notes sessions before they go, and tells which went."""

    def note(self, sessions: "Iterable[Session]") -> None:
        """Remember those of these sessions, which are about to be destroyed, that an import made."""
        gone = [
            self.model(
                owner_id=session.owner_id, source=session.source, key_digest=session.key_digest,
                uuid=session.uuid, created_at=session.created_at,
            )
            for session in sessions
            if session.is_imported and session.key_digest is not None
        ]  # fmt: skip
        if gone:
            self.bulk_create(gone, ignore_conflicts=True)

    def has(
        self,
        *,
        owner: AbstractBaseUser,
        source: str,
        key: str,
        uuid: uuids.UUID | None = None,
        since: datetime | None = None,
    ) -> bool:
        """Say whether the session of this key was destroyed, or the one with this id, whatever its key and source.

        With `since` only one that began then or later counts: the key may have been used again.
        """
        mine = self.filter(owner=owner.pk)
        if uuid is not None and mine.filter(uuid=uuid).exists():
            return True
        named = mine.filter(source=source, key_digest=digest_of_key(key))
        return (named if since is None else named.filter(created_at__gte=since)).exists()


class PurgedSession(models.Model):
    """One session that was: nothing of what was said in it, and no name."""

    # An older server, which knows nothing of this table, may remove the owner.
    owner = models.ForeignKey("auth.User", models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    source = models.CharField(max_length=100)
    key_digest = models.CharField(max_length=64)
    uuid = models.UUIDField(unique=True)
    created_at = models.DateTimeField(help_text="When the session began.")

    objects = PurgedSessionManager()

    class Meta:
        """Asked by id and by key."""

        indexes = [
            # Imports, for each session that is not here; and the removal of an owner.
            models.Index(fields=["owner", "source", "key_digest", "created_at"], name="purged_session_by_key"),
        ]

    def __str__(self) -> str:
        """Return the id that it had."""
        return str(self.uuid)
