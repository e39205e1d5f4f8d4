"""A checkpoint: the whole state of a session at one step, kept without keeping its history again.

Real clients send the whole history at every step. Messages are kept once, as rows of a *branch*
at a *position*; a checkpoint names the spans of branches that it is made of and how long each is.
Growing by one message adds one row; reading any checkpoint is one query over its spans.
"""

import uuid_utils.compat
from django.db import models

from sessions.models.fields import WrittenJSONField


class Checkpoint(models.Model):
    """One state. `rest` is the state without its messages, exactly as it was sent."""

    uuid = models.UUIDField(unique=True, default=uuid_utils.compat.uuid7, editable=False)
    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="checkpoints", db_index=False)
    seq = models.BigIntegerField(help_text="From 1 without gaps, per session; the newest is the active one.")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    spans = WrittenJSONField(default=list, help_text="[[branch, from, to], …] in order; `to` is not included.")
    message_count = models.BigIntegerField(default=0)
    rest = WrittenJSONField(default=dict)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        """Asked by session, newest first."""

        constraints = [models.UniqueConstraint(fields=["session", "seq"], name="checkpoint_seq_once")]

    def __str__(self) -> str:
        """Return its number."""
        return f"checkpoint {self.seq}"


class CheckpointMessage(models.Model):
    """One message of a session's checkpoints, exactly as it was sent, kept once."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+", db_index=False)
    branch = models.PositiveIntegerField()
    position = models.PositiveIntegerField()
    body = WrittenJSONField()

    class Meta:
        """Read by span: session, branch, positions in order."""

        constraints = [
            models.UniqueConstraint(fields=["session", "branch", "position"], name="checkpoint_message_place_once")
        ]

    def __str__(self) -> str:
        """Return its place."""
        return f"{self.branch}:{self.position}"
