"""A receipt: what a purge destroyed, by whose word, kept when what it tells of is gone."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import uuid_utils.compat
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

from sessions.models.audit import Action, AuditEntry
from sessions.models.fields import WrittenTextField

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class ReceiptQuerySet(models.QuerySet["Receipt"]):
    """Rows of receipts."""

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "ReceiptQuerySet":
        """Return the receipts that `user` may see: their own; staff see all."""
        if not user.is_authenticated:
            return self.none()
        return self.all() if getattr(user, "is_staff", False) else self.filter(owner=user.pk)


_ReceiptManager = models.Manager.from_queryset(ReceiptQuerySet)


class ReceiptManager(_ReceiptManager["Receipt"]):
    """Birth of receipts."""

    def begin(
        self, policy: str, rule: str, criteria: dict[str, Any], *, owner: "User | None", by: str, now: datetime
    ) -> "Receipt":
        """Return a receipt that is not written yet: only a purge that destroys something leaves one."""
        return Receipt(policy=policy, rule=rule, criteria=criteria, owner=owner, by=by, started_at=now)


class Receipt(models.Model):
    """One purge. It names no session and repeats no text."""

    uuid = models.UUIDField(unique=True, default=uuid_utils.compat.uuid7, editable=False)
    policy = models.CharField(max_length=20)
    rule = WrittenTextField(help_text="In words.")
    criteria = models.JSONField(default=dict)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False,
        help_text="Whose purge it was; none when the shell or a policy purged for everybody.",
    )  # fmt: skip
    by = models.CharField(max_length=100, help_text="Who asked: user:3, key:7, shell, policy.")
    previewed = models.BigIntegerField(null=True, blank=True, help_text="What was confirmed.")
    counts = models.JSONField(default=dict, help_text="Rows destroyed, by table.")
    session_count = models.BigIntegerField(default=0, help_text="Sessions destroyed, or touched.")
    size = models.BigIntegerField(default=0, help_text="Bytes of text destroyed.")
    bytes_before = models.BigIntegerField(null=True, blank=True)
    bytes_after = models.BigIntegerField(null=True, blank=True)
    is_complete = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    objects = ReceiptManager()

    class Meta:
        """The page lists the newest; few are ever written."""

        indexes = [models.Index(fields=["owner", "-id"], name="receipt_of_owner")]

    def __str__(self) -> str:
        """Return policy and day."""
        return f"{self.policy} {self.started_at:%Y-%m-%d}"

    @property
    def who(self) -> str:
        """Return who asked, as people say it: the name of a user, else the word that was kept."""
        return self.owner.get_username() if self.owner and self.by.startswith("user:") else self.by

    @property
    def what(self) -> str:
        """Return what was purged, as people say it."""
        names = {"compacted": "archived messages", "events": "old events"}
        return names.get(self.policy, f"{self.policy} sessions")

    @property
    def lines(self) -> list[tuple[str, int]]:
        """Return the rows destroyed by table, the most first."""
        return sorted(self.counts.items(), key=lambda line: (-line[1], line[0]))

    @property
    def short_id(self) -> str:
        """Return the end of its id, which differs from others'."""
        return f"{str(self.uuid)[-12:-8]}-{str(self.uuid)[-4:]}"

    @property
    def took(self) -> timedelta:
        """Return how long it took."""
        return self.ended_at - self.started_at

    @property
    def is_kept(self) -> bool:
        """Say whether it was written: the purge destroyed something."""
        return not self._state.adding

    def complete(
        self,
        *,
        counts: dict[str, int],
        size: int,
        session_count: int,
        is_complete: bool,
        bytes_after: int,
        now: datetime,
    ) -> None:
        """Write the receipt, once, at the end."""
        self.counts, self.size, self.session_count = counts, size, session_count
        self.is_complete, self.bytes_after, self.ended_at = is_complete, bytes_after, now
        self.save(force_insert=True)
        facts = {"policy": self.policy, "rule": self.rule, "session_count": session_count, "size": size}
        AuditEntry.objects.note(Action.PURGED, by=self.by, subject=str(self.uuid), now=now, **facts)

    def note_size(self, bytes_after: int) -> None:
        """Note how large the store is after it was rewritten."""
        self.bytes_after = bytes_after
        self.save(update_fields=["bytes_after"])
