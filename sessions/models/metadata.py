"""Metadata of a session: text by key. Koda's `todo` and `progress` are two of the keys."""

from django.db import models

from sessions.models.fields import WrittenTextField

TODO_KEY = "todo"
"""The key under which Koda keeps its markdown checklist."""


class Metadata(models.Model):
    """One value."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="metadata", db_index=False)
    key = models.TextField()
    value = WrittenTextField()
    updated_at = models.DateTimeField()

    class Meta:
        """Asked by session and key."""

        verbose_name_plural = "metadata"
        constraints = [models.UniqueConstraint(fields=["session", "key"], name="metadata_key_once")]

    def __str__(self) -> str:
        """Return the key."""
        return self.key
