"""Metadata of a session: text by key. Koda's `todo` and `progress` are two of the keys."""

from datetime import datetime

from django.db import models, transaction
from django.utils import timezone

from sessions import redaction
from sessions.models.event import EventDraft
from sessions.models.fields import WrittenTextField, require_content, require_name
from sessions.models.prepared import Place, prepared
from sessions.models.session import Session

TODO_KEY = "todo"
"""The key under which Koda keeps its markdown checklist."""


class MetadataManager(models.Manager["Metadata"]):
    """Changes of metadata; each is one event that names the key and never the value."""

    def read(self, session: Session, key: str) -> str | None:
        """Return the value of `key`, or None when there is none."""
        return _value.first(session.pk, key)

    def put(self, session: Session, key: str, value: str, *, now: datetime | None = None) -> str:
        """Set `key` to `value`, replacing what was there; return what is kept (KODA_REDACT).

        Raises `NotFound`, `InvalidRequest` or `TooLarge`.
        """
        require_name("key", key)
        require_content("value", value)
        now = now or timezone.now()
        kept: str = redaction.clean(value)
        with transaction.atomic():
            locked = Session.objects.locked(session.pk)
            self.update_or_create(session=locked, key=key, defaults={"value": kept, "updated_at": now})
            locked.record([EventDraft(type="server.metadata_set", payload={"key": key})], now=now)
        return kept

    def drop(self, session: Session, key: str, *, now: datetime | None = None) -> bool:
        """Remove `key`; say whether it was there. Raises `NotFound` for a session that has gone."""
        now = now or timezone.now()
        with transaction.atomic():
            locked = Session.objects.locked(session.pk)
            if not self.filter(session=locked, key=key).delete()[0]:
                return False
            locked.record([EventDraft(type="server.metadata_dropped", payload={"key": key})], now=now)
        return True


class Metadata(models.Model):
    """One value."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="metadata", db_index=False)
    key = models.TextField()
    value = WrittenTextField()
    updated_at = models.DateTimeField()

    objects = MetadataManager()

    class Meta:
        """Asked by session and key."""

        verbose_name_plural = "metadata"
        constraints = [models.UniqueConstraint(fields=["session", "key"], name="metadata_key_once")]

    def __str__(self) -> str:
        """Return the key."""
        return self.key


@prepared
def _value(session_id: Place, key: Place) -> "models.QuerySet[Metadata, str]":
    return Metadata.objects.filter(session=session_id, key=key).values_list("value", flat=True)
