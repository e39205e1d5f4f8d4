"""A file that a session created; Koda may delete such a file without asking."""

from datetime import datetime

from django.db import models, transaction
from django.utils import timezone

from sessions.models.event import EventDraft
from sessions.models.fields import require_name
from sessions.models.session import Session


class FileManager(models.Manager["File"]):
    """Changes of the set of files that a session owns."""

    def own(self, session: Session, path: str, *, now: datetime | None = None) -> bool:
        """Note that `session` created `path`; say whether that is new. Raises `NotFound` or `InvalidRequest`."""
        require_name("path", path)
        now = now or timezone.now()
        with transaction.atomic():
            locked = Session.objects.locked(session.pk)
            _, is_new = self.get_or_create(session=locked, path=path, defaults={"created_at": now})
            if is_new:
                locked.record([EventDraft(type="server.file_owned", payload={"path": path})], now=now)
        return is_new

    def disown(self, session: Session, path: str, *, now: datetime | None = None) -> bool:
        """Forget `path`; say whether it was known. Raises `NotFound` for a session that has gone."""
        now = now or timezone.now()
        with transaction.atomic():
            locked = Session.objects.locked(session.pk)
            if not self.filter(session=locked, path=path).delete()[0]:
                return False
            locked.record([EventDraft(type="server.file_disowned", payload={"path": path})], now=now)
        return True


class File(models.Model):
    """One path, as the agent named it."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="files", db_index=False)
    path = models.TextField()
    created_at = models.DateTimeField()

    objects = FileManager()

    class Meta:
        """Asked by session and path."""

        constraints = [models.UniqueConstraint(fields=["session", "path"], name="file_path_once")]

    def __str__(self) -> str:
        """Return the path."""
        return self.path
