"""Sessions that were destroyed lately: their log went with them, so whoever shows them is told from here."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from sessions.models.session import Session

KEPT_FOR = timedelta(days=7)
"""A page that was away for longer keeps the rows of what was destroyed meanwhile until it is loaded again."""


class DestroyedManager(models.Manager["Destroyed"]):
    """Notes sessions as they go, and tells of them."""

    def note(self, rows: "Sequence[Destroyed]") -> None:
        """Keep what `of` made of sessions; in the transaction that destroys them, and last of all.

        On PostgreSQL a number is seen late that was taken early.
        """
        self.bulk_create(rows)

    def of(self, sessions: "Iterable[Session]", *, now: datetime) -> "list[Destroyed]":
        """Return what is to be kept of sessions that are about to go; their `last_seq` is that of their end."""
        return [
            self.model(
                number=one.pk, uuid=one.uuid, owner_number=one.owner_id, visibility=one.visibility, status=one.status,
                seq=one.last_seq, at=now,
            )
            for one in sessions
        ]  # fmt: skip

    def newest(self) -> int:
        """Return the number of the newest row, 0 when there is none."""
        return self.aggregate(newest=models.Max("pk"))["newest"] or 0

    def seqs_after(self, pk: int) -> dict[int, int]:
        """Return, of the sessions in the rows after `pk`, the seq that their end would have had in their log."""
        return dict(self.filter(pk__gt=pk).values_list("number", "seq"))

    def since(self, at: datetime) -> list[int]:
        """Return the numbers of the sessions destroyed since then."""
        return list(self.filter(at__gte=at).values_list("number", flat=True))

    def numbered(self, numbers: "Collection[int]") -> "list[Destroyed]":
        """Return the rows of these sessions that were destroyed."""
        return list(self.filter(number__in=numbers)) if numbers else []

    def drop_old(self, *, now: datetime | None = None) -> int:
        """Forget what was destroyed long ago; return how many."""
        return self.filter(at__lt=(now or timezone.now()) - KEPT_FOR).delete()[0]


class Destroyed(models.Model):
    """A session that was destroyed: by which number pages know it, and who could see it. None of its words.

    Points to no row: the session has gone, and a user must be able to go.
    """

    number = models.BigIntegerField(help_text="The primary key that the session had.")
    uuid = models.UUIDField()
    owner_number = models.BigIntegerField()
    visibility = models.CharField(max_length=10)
    status = models.CharField(max_length=10)
    seq = models.BigIntegerField(help_text="Greater by one than that of its last event.")
    at = models.DateTimeField()

    objects = DestroyedManager()

    class Meta:
        """Asked for by pages that come back, and by the board that misses a session."""

        verbose_name_plural = "destroyed sessions"
        indexes = [
            models.Index(fields=["at"], name="destroyed_at"),
            models.Index(fields=["number"], name="destroyed_number"),
        ]

    def __str__(self) -> str:
        """Return the session's id."""
        return str(self.uuid)
