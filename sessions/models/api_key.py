"""Keys with which agents speak. Only a keyed digest is stored; the plain key is shown once."""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from sessions.models.audit import SHELL, Action, AuditEntry
from sessions.models.fields import require_name
from sessions.models.prepared import Place, prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KEY_BYTES = 32
"""Random bytes in a key: enough that its digest needs no slow hash."""
USE_NOTED_EVERY = timedelta(minutes=1)
"""`last_used_at` is written at most this often, or each read would become a write."""


class Scope(models.TextChoices):
    """What a key may do; each stands on its own."""

    WRITE = "write"
    READ = "read"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the record, and the plain text that is shown once and stored nowhere."""

    record: "ApiKey"
    plain: str


def digest_of(plain: str) -> str:
    """Return the keyed digest (HMAC-SHA-256 with the server's secret, in hex) under which a key is found."""
    return hmac.new(settings.SECRET_KEY.encode(), plain.encode(errors="replace"), hashlib.sha256).hexdigest()


class _Found(threading.local):
    """The keys that this thread has found by their plain text, while it keeps them; None while it does not."""

    keys: "dict[str, ApiKey] | None" = None


_found = _Found()


class ApiKeyManager(models.Manager["ApiKey"]):
    """Birth, look-up and use of keys."""

    def note_uses(self, keys: "Iterable[ApiKey]", now: datetime) -> None:
        """Remember that these keys are used, each at most once a minute, in one query.

        A use that lies ahead was noted before the clock was set back.
        """
        due = [
            key
            for key in keys
            if key.last_used_at is None or not timedelta() <= now - key.last_used_at < USE_NOTED_EVERY
        ]
        if due:
            self.filter(pk__in=[key.pk for key in due]).update(last_used_at=now)
        for key in due:
            key.last_used_at = now

    def issue(
        self,
        *,
        user: "User",
        name: str,
        scopes: Iterable[str],
        source: str = "",
        prefix: str = "koda",
        expires_at: datetime | None = None,
        by: str = SHELL,
    ) -> NewKey:
        """Make a key for `user`. Without a `source` the key's name is the source. `by` is for the audit log.

        Raises `InvalidRequest` for a name or source that cannot be one.
        """
        require_name("name", name, longest_bytes=100)
        require_name("source", source, longest_bytes=100)
        plain = f"{prefix}_{secrets.token_urlsafe(KEY_BYTES)}"
        wanted = set(scopes)
        now = timezone.now()
        with transaction.atomic():
            record = self.create(
                user=user,
                name=name,
                source=source or name,
                can_write=Scope.WRITE in wanted,
                can_read=Scope.READ in wanted,
                can_control=Scope.CONTROL in wanted,
                digest=digest_of(plain),
                hint=f"{prefix}_…{plain[-4:]}",
                created_at=now,
                expires_at=expires_at,
            )
            facts = {"user": user.get_username(), "scopes": sorted(record.scopes)}
            AuditEntry.objects.note(Action.KEY_ISSUED, by=by, subject=str(record), now=now, **facts)
        return NewKey(record, plain)

    def find(self, plain: str, *, now: datetime | None = None) -> "ApiKey | None":
        """Return the valid key with this plain text, its user loaded, or None.

        Found by digest in a unique index: there is nothing to compare in variable time.
        """
        now = now or timezone.now()
        kept = {} if _found.keys is None else _found.keys
        key = kept.get(plain) or _by_digest.first(digest_of(plain))
        if key is not None:
            kept[plain] = key
        return key if key is not None and key.is_valid(now) else None

    @contextmanager
    def looked_up_once(self) -> Iterator[None]:
        """Look up each key once on this thread meanwhile.

        For requests that share a transaction in which nobody else can change a key: SQLite's, with its lock held.
        """
        _found.keys = {}
        try:
            yield
        finally:
            _found.keys = None


class ApiKey(models.Model):
    """One key of one user; speaks for one source."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="koda_keys")
    name = models.CharField(max_length=100)
    source = models.CharField(max_length=100)
    can_write = models.BooleanField(default=False)
    can_read = models.BooleanField(default=False)
    can_control = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=40, editable=False, help_text="Prefix and last four characters.")
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyManager()

    class Meta:
        """Found by digest; listed by user."""

        verbose_name = "API key"

    def __str__(self) -> str:
        """Return the name and the hint, never more of the key."""
        return f"{self.name} ({self.hint})"

    @property
    def scopes(self) -> frozenset[str]:
        """Return the scopes as a set."""
        held = {Scope.WRITE: self.can_write, Scope.READ: self.can_read, Scope.CONTROL: self.can_control}
        return frozenset(scope.value for scope, is_held in held.items() if is_held)

    def is_valid(self, now: datetime) -> bool:
        """Say whether the key may still be used at `now`."""
        is_over = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not is_over and self.user.is_active

    def note_use(self, now: datetime) -> None:
        """Remember when the key was last used, at most once a minute."""
        type(self).objects.note_uses([self], now)

    def revoke(self, *, by: str = SHELL, now: datetime | None = None) -> bool:
        """End the key; say whether it was still alive. `by` is for the audit log."""
        when = now or timezone.now()
        with transaction.atomic():
            if not type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=when):
                return False
            owner = self.user.get_username()
            AuditEntry.objects.note(Action.KEY_REVOKED, by=by, subject=str(self), now=when, user=owner)
        return True


@prepared
def _by_digest(digest: Place) -> "models.QuerySet[ApiKey]":
    return ApiKey.objects.filter(digest=digest).select_related("user")
