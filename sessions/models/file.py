"""A file that a session created; Koda may delete such a file without asking."""

from django.db import models


class File(models.Model):
    """One path, as the agent named it."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="files", db_index=False)
    path = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        """Asked by session and path."""

        constraints = [models.UniqueConstraint(fields=["session", "path"], name="file_path_once")]

    def __str__(self) -> str:
        """Return the path."""
        return self.path
