"""A delivery: one thing that one webhook is to be told, kept until it has been told or given up. The outbox."""

import secrets
from datetime import datetime, timedelta

import uuid_utils.compat
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from sessions.models.fields import WrittenJSONField, WrittenTextField

CLAIMED_FOR = timedelta(minutes=1)
"""How long a delivery is left to whoever claimed it; longer than any call takes. One whose sender died comes again."""
GIVEN_UP_AFTER = timedelta(hours=24)
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
KEPT_FOR = timedelta(days=30)
"""How long a record is kept of what was told or given up."""
GONE = 410
"""The status with which a receiver says that it never wants to be called again."""

_random = secrets.SystemRandom()


class DeliveryKind(models.TextChoices):
    """What is told."""

    STUCK = "stuck", "Stuck"
    LOST = "lost", "Lost"
    NEEDS = "needs", "Needs you"
    SILENT = "silent", "Source silent"
    TEST = "test", "Test"


def wait_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failures: twice as long each time, up to an hour, half of it by chance."""
    longest = min(FIRST_WAIT * (1 << min(attempts - 1, 20)), LONGEST_WAIT)
    return longest * _random.uniform(0.5, 1)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Rows of the outbox."""

    def waiting(self) -> "DeliveryQuerySet":
        """Return what is neither told nor given up."""
        return self.filter(next_attempt_at__isnull=False)

    def due(self, now: datetime) -> "DeliveryQuerySet":
        """Return what is to be tried, the longest overdue first.

        One that would be tried again later than any pause takes was tried before the clock was set back.
        """
        is_due = Q(next_attempt_at__lte=now) | Q(attempts__gt=0, next_attempt_at__gt=now + LONGEST_WAIT)
        return self.filter(is_due).order_by("next_attempt_at", "pk")

    def held(self, now: datetime) -> "DeliveryQuerySet":
        """Return what waits for the end of a quiet time and has not been tried."""
        return self.filter(due_at__gt=now, attempts=0)

    def told_by(self, now: datetime) -> "DeliveryQuerySet":
        """Return what counts for the quiet time: what has become due, tried or not."""
        return self.filter(due_at__lte=now)

    def give_up(self, why: str, *, now: datetime) -> int:
        """Give these up; return how many."""
        return self.update(next_attempt_at=None, given_up_at=now, last_error=why)

    def drop_old(self, *, now: datetime | None = None) -> int:
        """Delete the records that are over and old; return how many."""
        old = self.filter(next_attempt_at__isnull=True, due_at__lt=(now or timezone.now()) - KEPT_FOR)
        return old.delete()[0]


class Delivery(models.Model):
    """One thing to tell. `uuid` is the id by which a receiver knows a repeat."""

    uuid = models.UUIDField(unique=True, default=uuid_utils.compat.uuid7, editable=False)
    webhook = models.ForeignKey("koda_sessions.Webhook", models.CASCADE, related_name="deliveries", db_index=False)
    kind = models.CharField(max_length=10, choices=DeliveryKind)
    session = models.ForeignKey(
        "koda_sessions.Session", models.CASCADE, null=True, blank=True, related_name="+", db_index=False,
        help_text="None when it tells of a whole source, or of nothing.",
    )  # fmt: skip
    seq = models.BigIntegerField(null=True, blank=True, help_text="The event of the session that it tells of.")
    source = models.CharField(max_length=100, blank=True, default="")
    body = WrittenJSONField(default=dict, help_text="What is told; links are added when it is sent.")
    due_at = models.DateTimeField(help_text="When it was, or will be, tried first.")
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="None when it is over.")
    attempts = models.PositiveIntegerField(default=0)
    last_attempt_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveIntegerField(null=True, blank=True, help_text="HTTP's; None when none came.")
    last_error = WrittenTextField(blank=True, default="")
    delivered_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager.from_queryset(DeliveryQuerySet)()

    class Meta:
        """Taken when due; asked for by webhook."""

        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "session", "seq"], name="delivery_once"),
            models.CheckConstraint(condition=Q(kind__in=DeliveryKind.values), name="delivery_kind"),
            models.CheckConstraint(
                condition=Q(next_attempt_at__isnull=False, delivered_at__isnull=True, given_up_at__isnull=True)
                | Q(next_attempt_at__isnull=True, delivered_at__isnull=False, given_up_at__isnull=True)
                | Q(next_attempt_at__isnull=True, delivered_at__isnull=True, given_up_at__isnull=False),
                name="delivery_waits_or_is_over",
            ),
        ]
        indexes = [
            # The sender: what is due.
            models.Index(
                fields=["next_attempt_at", "id"], condition=Q(next_attempt_at__isnull=False), name="delivery_due"
            ),
            # The page: the last of one webhook. The purge of old ones.
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
            models.Index(fields=["due_at"], name="delivery_by_age"),
            # Quiet time of a source.
            models.Index(fields=["webhook", "source", "due_at"], condition=Q(kind="silent"), name="delivery_of_source"),
        ]

    def __str__(self) -> str:
        """Return what it tells and how often it was tried."""
        return f"{self.kind}, tried {self.attempts} times"

    @property
    def look(self) -> str:
        """Return the word that chooses icon and colour."""
        if self.given_up_at is not None:
            return "failed"
        if self.delivered_at is not None:
            return "resting"
        return "quiet" if self.attempts == 0 or not self.last_error else "needs"

    def claim(self, *, now: datetime) -> bool:
        """Take this delivery for one attempt; say whether nobody was quicker."""
        mine = type(self).objects.filter(pk=self.pk, attempts=self.attempts, next_attempt_at=self.next_attempt_at)
        until = now + CLAIMED_FOR
        if not mine.update(attempts=F("attempts") + 1, last_attempt_at=now, next_attempt_at=until):
            return False
        self.attempts, self.last_attempt_at, self.next_attempt_at = self.attempts + 1, now, until
        return True

    def note_told(self, status: int, *, now: datetime) -> None:
        """Note that the receiver took it. Also when another has claimed it meanwhile: told is told."""
        open_one = type(self).objects.filter(pk=self.pk, delivered_at=None)
        open_one.update(next_attempt_at=None, delivered_at=now, given_up_at=None, last_status=status, last_error="")

    def note_failure(self, why: str, *, status: int | None, now: datetime) -> None:
        """Note a failed attempt, and when to try again; after `GIVEN_UP_AFTER`, or when told to, never.

        Does nothing when the attempt was not the last one: its claim had run out.
        """
        mine = type(self).objects.filter(pk=self.pk, attempts=self.attempts).waiting()
        if status == GONE or now - self.due_at >= GIVEN_UP_AFTER:
            mine.update(next_attempt_at=None, given_up_at=now, last_status=status, last_error=why)
        else:
            again = now + wait_after(self.attempts)
            mine.update(next_attempt_at=again, last_status=status, last_error=why)

    def give_up(self, why: str, *, now: datetime) -> None:
        """Give it up if it still waits."""
        type(self).objects.filter(pk=self.pk).waiting().give_up(why, now=now)

    def withdraw(self) -> None:
        """Delete it: what it would tell is over, and nobody has been told."""
        type(self).objects.filter(pk=self.pk, attempts=0).delete()
