"""A footprint: how much one session takes up, measured soon after it changed and not with each write."""

from django.conf import settings
from django.db import models

from sessions.models.fields import WrittenJSONField, WrittenTextField
from sessions.models.log_mark import LogMark

FIGURES = {
    "session_count": models.Count("*"),
    "deleted_count": models.Count("is_deleted", filter=models.Q(is_deleted=True)),
    "messages": models.Sum("message_count", default=0),
    "archived": models.Sum("archived_count", default=0),
    "checkpoints": models.Sum("checkpoint_count", default=0),
    "bytes": models.Sum("size", default=0),
    "archived_bytes": models.Sum("archived_size", default=0),
    "oldest": models.Min("born_at"),
}
"""What is told of any number of footprints together, all from the columns of one index."""


class Footprint(models.Model):
    """One session. What never changes of it is repeated here, so that sums need no other table."""

    session = models.OneToOneField("koda_sessions.Session", models.CASCADE, primary_key=True, related_name="footprint")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    source = models.CharField(max_length=100)
    project_root = WrittenTextField(blank=True, default="")
    is_deleted = models.BooleanField(default=False)
    message_count = models.BigIntegerField(default=0)
    archived_count = models.BigIntegerField(default=0)
    checkpoint_count = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0, help_text="Bytes of text in messages, events and checkpoints.")
    archived_size = models.BigIntegerField(default=0, help_text="Of these, in archived messages.")
    born_at = models.DateTimeField(help_text="When the session began.")
    message_to = models.BigIntegerField(null=True, help_text="The newest message that was measured.")
    seq_to = models.BigIntegerField(null=True, help_text="The seq of the newest event that was measured.")
    amounts = WrittenJSONField(null=True, help_text="What was there up to these two, to go on from.")

    objects = models.Manager["Footprint"]()

    class Meta:
        """Summed by source and project from the index alone."""

        indexes = [
            models.Index(
                fields=[
                    "owner", "source", "project_root", "is_deleted", "message_count", "archived_count",
                    "checkpoint_count", "size", "archived_size", "born_at",
                ],
                name="footprint_sums",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        """Return whose it is."""
        return f"footprint of session {self.session_id}"


class FootprintMark(LogMark):
    """How far the footprints are measured."""

    objects = models.Manager["FootprintMark"]()
