"""Answers kept so that a repeated POST gives the stored one instead of acting twice."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from sessions.models.batching import batched
from sessions.models.fields import WrittenTextField

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from sessions.models.api_key import ApiKey
    from sessions.models.session import Session

_NAMES_AT_ONCE = 100
"""SQLite bears no condition of more than a thousand parts."""
KEPT_FOR = timedelta(days=1)
"""A repeat that comes later than this is a new request."""


class StoredAnswerManager(models.Manager["StoredAnswer"]):
    """Claims and look-ups."""

    def claim(
        self,
        key: str,
        *,
        user: "User",
        api_key: "ApiKey | None",
        path: str,
        body_digest: str,
        now: datetime | None = None,
    ) -> "StoredAnswer":
        """Return the answer kept under `key`, or a new one that has none yet (`is_open`).

        Call it in a transaction that ends with the answer. Who comes second waits here until the first has
        committed, and sees its answer, or has rolled back, and takes its place.
        """
        now = now or timezone.now()
        mine = {"user": user, "api_key": api_key, "idempotency_key": key}
        self.filter(**mine, created_at__lt=now - KEPT_FOR).delete()
        try:
            with transaction.atomic():
                return self.create(**mine, path=path, body_digest=body_digest, status=0, body="", created_at=now)
        except IntegrityError:
            return self.get(**mine)

    def forget(self, sessions: Iterable["Session"], *, now: datetime) -> dict[str, int]:
        """Delete the answers that tell of these sessions; return how many rows went, by the label of their model.

        Reads all that are kept, once for a hundred sessions, but not for those that nobody has changed for as long as
        any is.
        """
        names = (str(session.uuid) for session in sessions if session.updated_at >= now - KEPT_FOR)
        gone: Counter[str] = Counter()
        for piece in batched(names, _NAMES_AT_ONCE):
            told = models.Q(*((f"{column}__contains", name) for name in piece for column in ("path", "body")),
                            _connector=models.Q.OR)  # fmt: skip
            gone.update(self.filter(told).delete()[1])
        return gone

    def drop_old(self, *, now: datetime | None = None) -> int:
        """Delete the answers that nobody can ask for any more; return how many."""
        old = self.filter(created_at__lt=(now or timezone.now()) - KEPT_FOR)
        return old.delete()[0]


class StoredAnswer(models.Model):
    """The answer to one `Idempotency-Key` of one caller on one path."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    api_key = models.ForeignKey("koda_sessions.ApiKey", models.CASCADE, null=True, related_name="+", db_index=False)
    idempotency_key = models.TextField()
    path = models.TextField()
    body_digest = models.CharField(max_length=64, help_text="SHA-256 of the body, in hex.")
    status = models.PositiveSmallIntegerField()  # 0 while its request runs; no other transaction sees that
    body = WrittenTextField()
    content_type = models.CharField(max_length=100, default="application/json")
    created_at = models.DateTimeField()

    objects = StoredAnswerManager()

    class Meta:
        """Looked up by caller and key; dropped by age."""

        constraints = [
            models.UniqueConstraint(
                "user",
                Coalesce("api_key", models.Value(0, models.BigIntegerField())),
                "idempotency_key",
                name="answer_once",
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="answer_by_age")]

    def __str__(self) -> str:
        """Return path and status."""
        return f"{self.path} {self.status}"

    @property
    def is_open(self) -> bool:
        """Say whether its request has not been answered: it is the one that runs in this transaction."""
        return self.status == 0

    def fill(self, *, status: int, body: str, content_type: str) -> None:
        """Keep the answer."""
        self.status = status
        self.body = body
        self.content_type = content_type
        self.save(update_fields=["status", "body", "content_type"])
