"""Answers kept so that a repeated POST gives the stored one instead of acting twice."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce

from sessions.models.fields import WrittenTextField


class StoredAnswer(models.Model):
    """The answer to one `Idempotency-Key` of one caller on one path."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    api_key = models.ForeignKey("koda_sessions.ApiKey", models.CASCADE, null=True, related_name="+", db_index=False)
    idempotency_key = models.TextField()
    path = models.TextField()
    body_digest = models.CharField(max_length=64, help_text="SHA-256 of the body, in hex.")
    status = models.PositiveSmallIntegerField()
    body = WrittenTextField()
    content_type = models.CharField(max_length=100, default="application/json")
    created_at = models.DateTimeField()

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
