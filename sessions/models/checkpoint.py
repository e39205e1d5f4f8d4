"""A checkpoint: the whole state of a session at one step, kept without keeping its history again.

Real clients send the whole history at every step. Each message is kept once, at a *place* in the session's pool; a
checkpoint says from which places it is made. A history that only grows is one span, however long it is. The pool is
kept in pieces of several messages, so that reading a thousand messages is not reading a thousand rows.
"""

import uuid as uuids
from typing import TYPE_CHECKING

import uuid_utils.compat
from django.db import models

from sessions.exceptions import NotFound
from sessions.models.fields import WrittenJSONField, WrittenTextField
from sessions.models.prepared import Place, prepared

if TYPE_CHECKING:
    from sessions.models.session import Session


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    """Rows of checkpoints; order is by seq, never by time."""

    def of(self, session: "Session") -> "CheckpointQuerySet":
        """Return those of one session, the oldest first."""
        return self.filter(session=session).order_by("seq")

    def find(self, uuid: uuids.UUID) -> "Checkpoint":
        """Return the checkpoint with this public id and its session. Raises `NotFound`."""
        checkpoint = self.select_related("session").filter(uuid=uuid).first()
        if checkpoint is None:
            raise NotFound("No such checkpoint.")
        return checkpoint


_CheckpointManager = models.Manager.from_queryset(CheckpointQuerySet)


class CheckpointManager(_CheckpointManager["Checkpoint"]):
    """Rows of checkpoints, and the one that is looked up at every step."""

    def active_of(self, session: "Session") -> "Checkpoint | None":
        """Return the newest checkpoint of a session, None when it has none."""
        pk = session.active_checkpoint_id
        return None if pk is None else _by_id.first(pk)


class Checkpoint(models.Model):
    """One state. Its messages are those at `spans`, each as `variants` says where it differs from what stands there."""

    uuid = models.UUIDField(unique=True, default=uuid_utils.compat.uuid7, editable=False)
    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="checkpoints", db_index=False)
    seq = models.BigIntegerField(help_text="From 1 without gaps, per session; the newest is the active one.")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    spans = WrittenJSONField(default=list, help_text="[[first, end], …]: places in the pool; `end` is not included.")
    variants = WrittenJSONField(default=list, help_text="[[index, head, tail, middle], …]: see `sessions.likeness`.")
    added_count = models.BigIntegerField(default=0, help_text="Places that the pool got with it.")
    message_count = models.BigIntegerField(default=0)
    stem = models.BinaryField(default=b"", help_text="Digest of all its messages but the last.")
    rest = WrittenTextField(default="{}", help_text="JSON: the state without its messages, exactly as it was sent.")
    unread = WrittenTextField(null=True, blank=True, help_text="The state of another store that nobody can read.")
    continues_seq = models.BigIntegerField(null=True, blank=True, help_text="Whose history it goes on from.")
    kept_count = models.BigIntegerField(default=0, help_text="Messages that it has in common with that one.")
    branch = models.BigIntegerField(default=0, help_text="0 is the first line; each rewritten history begins one.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = CheckpointManager()

    class Meta:
        """Asked by session, newest first."""

        constraints = [models.UniqueConstraint(fields=["session", "seq"], name="checkpoint_seq_once")]

    def __str__(self) -> str:
        """Return its number."""
        return f"checkpoint {self.seq}"

    def continued(self) -> "Checkpoint | None":
        """Return the checkpoint whose history it goes on from; None when it goes on from none."""
        if self.continues_seq is None:
            return None
        return Checkpoint.objects.filter(session=self.session_id, seq=self.continues_seq).first()


class CheckpointPiece(models.Model):
    """Some messages of a session's pool, one JSON text a line, from place `first` up to `end`."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+", db_index=False)
    first = models.BigIntegerField()
    end = models.BigIntegerField()
    text = WrittenTextField()

    class Meta:
        """Read by session and place."""

        constraints = [models.UniqueConstraint(fields=["session", "first"], name="checkpoint_piece_once")]

    def __str__(self) -> str:
        """Return its places."""
        return f"{self.first} to {self.end}"

    @property
    def lines(self) -> list[str]:
        """Return its messages."""
        return str(self.text).split("\n")


@prepared
def _by_id(pk: Place) -> models.QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(pk=pk)
