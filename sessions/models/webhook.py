"""A webhook: an address of one user's choice that is called when a session of theirs needs attention."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.utils import timezone

from sessions.exceptions import Conflict, InvalidRequest
from sessions.models.addresses import is_public, read_address
from sessions.models.alarm import AlarmKind
from sessions.models.audit import SHELL, Action, AuditEntry
from sessions.models.delivery import Delivery, DeliveryKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST_A_USER = 20
LONGEST_URL = 1000
LONGEST_QUIET_MINUTES = 7 * 24 * 60
SECRET_PREFIX = "whsec_"  # noqa: S105 - says what follows, and is no secret
_SECRET_BYTES = 32
_ODD = re.compile(r"[\x00-\x20\x7f\ud800-\udfff\\]")


def require_url(url: str) -> str:
    """Return `url` if it may be called. Raises `InvalidRequest`.

    Where a name leads is only seen when it is called.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise InvalidRequest.field("url", "is not an address") from None
    if len(url) > LONGEST_URL:
        raise InvalidRequest.field("url", f"must have at most {LONGEST_URL:,} characters")
    if parts.scheme not in {"http", "https"} or not host or _ODD.search(url):
        raise InvalidRequest.field("url", "must look like https://example.org/hook")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest.field("url", "must not hold a name or a password")
    address = read_address(host)
    if address is not None and not is_public(address) and not settings.KODA_WEBHOOK_PRIVATE:
        raise InvalidRequest.field("url", "is a private address; KODA_WEBHOOK_PRIVATE=on would allow it")
    return url


def _checked(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the columns for `facts`, in which `kinds` stands for three. Raises `InvalidRequest`."""
    if "url" in facts:
        require_url(facts["url"])
    if not 0 <= facts.get("quiet_minutes", 0) <= LONGEST_QUIET_MINUTES:
        raise InvalidRequest.field("quiet_minutes", f"must be from 0 to {LONGEST_QUIET_MINUTES:,} minutes")
    kinds: Collection[str] | None = facts.get("kinds")
    columns = {name: value for name, value in facts.items() if name != "kinds"}
    return columns if kinds is None else {**columns, **{f"on_{kind}": kind in kinds for kind in AlarmKind.values}}


class WebhookManager(models.Manager["Webhook"]):
    """Birth of webhooks."""

    def register(self, *, owner: "User", by: str = SHELL, now: datetime | None = None, **facts: Any) -> "Webhook":
        """Make a webhook with a secret of its own. `facts`: url, and perhaps kinds, quiet_minutes, is_enabled.

        `by` is for the audit log, as with all that is done to it later.

        Raises `InvalidRequest` for what cannot be, and `Conflict` when the user has too many.
        """
        columns = _checked(facts)
        with transaction.atomic():
            # Of two that are added at once one counts the other.
            get_user_model()._default_manager.select_for_update(no_key=True).get(pk=owner.pk)  # noqa: SLF001 - Django's documented way to a swappable user
            if self.filter(owner=owner).count() >= MOST_A_USER:
                raise Conflict(f"There may be {MOST_A_USER} webhooks; remove one first.")
            made = self.create(owner=owner, secret=new_secret(), created_at=now or timezone.now(), **columns)
            made._note(Action.WEBHOOK_ADDED, by=by)  # noqa: SLF001 - of the same module
        return made


def new_secret() -> str:
    """Return a secret as the Standard Webhooks specification spells it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class Webhook(models.Model):
    """One address, what it wants to hear of, and how often at most."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="koda_webhooks")
    url = models.CharField(max_length=LONGEST_URL)
    secret = models.CharField(max_length=100, editable=False)
    on_stuck = models.BooleanField(default=True)
    on_lost = models.BooleanField(default=True)
    on_needs = models.BooleanField(default=True)
    is_enabled = models.BooleanField(default=True)
    quiet_minutes = models.PositiveIntegerField(default=15, help_text="Between two calls about the same session.")
    created_at = models.DateTimeField(editable=False)

    objects = WebhookManager()

    CHANGEABLE: ClassVar[frozenset[str]] = frozenset({"url", "kinds", "quiet_minutes", "is_enabled"})
    """What `change` may change."""

    class Meta:
        """Asked for by owner."""

    def __str__(self) -> str:
        """Return its host; the rest of an address is often a secret."""
        return self.host

    @property
    def host(self) -> str:
        """Return the host that it calls."""
        return urlsplit(self.url).netloc

    @property
    def kinds(self) -> list[str]:
        """Return what it wants to hear of."""
        return [kind for kind in AlarmKind.values if getattr(self, f"on_{kind}")]

    @property
    def _told_kinds(self) -> set[str]:
        """Return what it is told: what it wants to hear of, a source's silence in place of its sessions', and tests."""
        silent = {DeliveryKind.SILENT.value} if self.on_stuck or self.on_lost else set()
        return {*self.kinds, *silent, DeliveryKind.TEST.value}

    @property
    def quiet_time(self) -> timedelta:
        """Return how long it is not called again about the same session."""
        return timedelta(minutes=self.quiet_minutes)

    def change(self, *, by: str = SHELL, now: datetime | None = None, **facts: Any) -> None:
        """Change url, kinds, quiet_minutes or is_enabled. What waits and is not wanted any more is given up.

        Raises `InvalidRequest`.
        """
        assert facts.keys() <= self.CHANGEABLE, facts  # a door passed a column that it must not
        columns = _checked(facts)
        with transaction.atomic():
            type(self).objects.select_for_update().filter(pk=self.pk).update(**columns)
            self.refresh_from_db()
            waiting, at = Delivery.objects.filter(webhook=self).waiting(), now or timezone.now()
            if not self.is_enabled:
                waiting.give_up("the webhook was switched off", now=at)
            waiting.exclude(kind__in=self._told_kinds).give_up("the webhook wants to hear of this no more", now=at)
            self._note(Action.WEBHOOK_CHANGED, by=by, changed=sorted(facts))

    def renew_secret(self, *, by: str = SHELL) -> None:
        """Replace the secret; what is sent from now on bears the new one's signature."""
        self.secret = new_secret()
        with transaction.atomic():
            self.save(update_fields=["secret"])
            self._note(Action.WEBHOOK_CHANGED, by=by, changed=["secret"])

    def remove(self, *, by: str = SHELL) -> None:
        """Remove it with all that it was told, or was to be told."""
        with transaction.atomic():
            self._note(Action.WEBHOOK_REMOVED, by=by)
            self.delete()

    def _note(self, action: Action, *, by: str, **detail: Any) -> None:
        """Note what was done to it: its host, since the rest of an address is often a secret."""
        owner = self.owner.get_username()
        AuditEntry.objects.note(action, by=by, subject=self.host, owner=owner, is_enabled=self.is_enabled, **detail)

    def try_out(self, *, now: datetime | None = None) -> Delivery:
        """Write a delivery that only tests the way."""
        now = now or timezone.now()
        return Delivery.objects.create(webhook=self, kind=DeliveryKind.TEST, due_at=now, next_attempt_at=now)

    def sign(self, message_id: str, *, timestamp: int, body: bytes) -> str:
        """Return the signature of one call, as the Standard Webhooks specification wants it: `v1,` and base64."""
        key = base64.b64decode(self.secret.removeprefix(SECRET_PREFIX))
        digest = hmac.new(key, b"%s.%d.%s" % (message_id.encode(), timestamp, body), hashlib.sha256).digest()
        return f"v1,{base64.b64encode(digest).decode()}"
