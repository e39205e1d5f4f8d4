"""The rows of sessions: the words that classify them, and the adjectives by which they are asked for."""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Value
from django.db.models.functions import Cast, Coalesce

from sessions.exceptions import NotFound
from sessions.models.filtering import FilterableQuerySet
from sessions.models.prepared import Place
from sessions.models.watched import ADRIFT, Needs, State

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from sessions.models.session import Session

KEY_BYTES = 4096
"""Bytes that a key has at most: 1,024 characters of any script."""
LISTED = models.Q(active_checkpoint__isnull=False)
"""Sessions that Stakpak's client may see in a list: one without a checkpoint makes all of its answer unreadable."""


def digest_of_key(key: str) -> str:
    """Return the digest by which a key is indexed: a key may be longer than an index row."""
    return hashlib.sha256(key.encode()).hexdigest()


def _unless_after(moment: str, until: datetime, shift: "models.ExpressionWrapper[Any]") -> models.Case:
    """Return `shift` for the rows whose column `moment` is not later than `until`, and nothing for the others."""
    return models.Case(models.When(**{f"{moment}__gt": until}, then=0), default=shift, output_field=shift.output_field)


class Visibility(models.TextChoices):
    """Who besides the owner and staff may read."""

    PRIVATE = "PRIVATE"
    PUBLIC = "PUBLIC"


class Status(models.TextChoices):
    """Whether lists show it."""

    ACTIVE = "ACTIVE"
    DELETED = "DELETED"


class Mode(models.TextChoices):
    """Koda's trust modes, least trusted first."""

    PLAN = "plan"
    SAFE = "safe"
    AUTO = "auto"

    @classmethod
    def named(cls, word: str) -> "Mode | None":
        """Return the mode that `word` names, by any of Koda's aliases, or None (contracts/koda.md 4.6)."""
        return next((mode for mode, words in _MODE_WORDS.items() if word.strip().lower() in words), None)

    @classmethod
    def at_most(cls, mode: str, limit: str | None) -> str:
        """Return the less trusted of two modes; without a limit, `mode`."""
        order = cls.values
        return mode if limit is None else order[min(order.index(mode), order.index(limit))]


_MODE_WORDS = {
    Mode.PLAN: {"plan", "readonly", "read-only"},
    Mode.SAFE: {"safe", "confirm", "strict", "normal"},
    Mode.AUTO: {"auto", "yolo", "accept"},
}


def confined_to(user: AbstractBaseUser | AnonymousUser) -> int | None:
    """Return whose sessions somebody who is signed in may change: their own; None for staff, who may change all.

    Raises `ValueError` for who is not: nobody is not everybody.
    """
    if not user.is_authenticated:
        raise ValueError("Nobody is signed in.")
    return None if getattr(user, "is_staff", False) else user.pk


class Band(models.TextChoices):
    """The four bands of the wall, in the order in which they stand."""

    NEEDS = "needs", "Needs you"
    ADRIFT = "adrift", "Stuck or lost"
    RUNNING = "running", "Running"
    RECENT = "recent", "Recent"


class SessionQuerySet(FilterableQuerySet):
    """Rows of sessions. Adjectives narrow, and none of them orders unless it says so."""

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "SessionQuerySet":
        """Return what `user` may read: their own, the public ones, and everything for staff."""
        return self.seen_by(confined_to(user)) if user.is_authenticated else self.none()

    def seen_by(self, owner_id: "int | Place | None") -> "SessionQuerySet":
        """Return what somebody may read who is confined to this owner's sessions, or to none's (`confined_to`)."""
        if owner_id is None:
            return self.all()
        return self.filter(models.Q(owner=owner_id) | models.Q(visibility=Visibility.PUBLIC))

    def readable_by(self, user: AbstractBaseUser | AnonymousUser) -> "SessionQuerySet":
        """Return what `user` may read of sessions that a page leads to: without an account, the public ones."""
        return self.visible_to(user) if user.is_authenticated else self.filter(visibility=Visibility.PUBLIC)

    def changeable_by(self, user: AbstractBaseUser | AnonymousUser) -> "SessionQuerySet":
        """Return what `user` may write to, and purge: their own, and everything for staff."""
        return self.kept_by(confined_to(user)) if user.is_authenticated else self.none()

    def kept_by(self, owner_id: "int | Place | None") -> "SessionQuerySet":
        """Return what somebody may change who is confined to this owner's sessions, or to none's."""
        return self.all() if owner_id is None else self.filter(owner=owner_id)

    def named_beside(self, owner_id: "int | Place", *, can_change: bool) -> "SessionQuerySet":
        """Return what the page of a session may name: what is public, and to who may change it what its owner has."""
        public = models.Q(visibility=Visibility.PUBLIC)
        return self.filter(public | models.Q(owner=owner_id) if can_change else public)

    def active(self) -> "SessionQuerySet":
        """Leave out the deleted ones."""
        return self.filter(status=Status.ACTIVE)

    def running(self) -> "SessionQuerySet":
        """Return those whose agent said that it works."""
        return self.filter(state=State.RUNNING)

    def heard_since(self, at: "datetime | Place") -> "SessionQuerySet":
        """Return those that run and of which anything was heard since then, be it a bare heartbeat."""
        return self.active().running().filter(heard_at__gte=at)

    def stuck(self, *, threshold: timedelta, now: datetime) -> "SessionQuerySet":
        """Return the contracts' literal stuck list, oldest first.

        Running, and the turn's start strictly older than `threshold`; a null start is never stuck.
        """
        return self.running().filter(turn_started_at__lt=now - threshold).order_by("turn_started_at", "pk")

    def due(self, now: "datetime | Place") -> "SessionQuerySet":
        """Return the sessions whose deadline has passed, the longest overdue first."""
        return self.filter(next_deadline_at__lte=now).order_by("next_deadline_at", "pk")

    def lock_free(self) -> list[int]:
        """Lock those of these sessions that nobody else holds until the transaction ends; return their ids.

        On SQLite the IMMEDIATE transaction holds them all.
        """
        return list(self.select_for_update(no_key=True, skip_locked=True).order_by().values_list("pk", flat=True))

    def excuse(self, silence: timedelta, *, until: datetime, default_interval: timedelta) -> int:
        """Shift every deadline by `silence`, during which nobody could be heard, and by one interval more.

        It ended at `until`: who was heard from since has no need of it. Return how many sessions had a deadline.
        Nothing that anybody said has changed, so nothing is recorded.
        """
        interval = Coalesce("heartbeat_interval_seconds", int(default_interval.total_seconds()))
        shift = models.ExpressionWrapper(interval + ceil(silence.total_seconds()), models.PositiveIntegerField())
        seconds = Cast(interval, models.IntegerField()) * Value(timedelta(seconds=1))
        span = models.ExpressionWrapper(seconds, models.DurationField())
        moved = models.ExpressionWrapper(models.F("expected_by") + silence + span, models.DateTimeField())
        # While a person is waited for a budget's clock stands in any case; the end of the wait moves it.
        counts = models.Q(needs=Needs.NOTHING) & ~models.Q(doing_since__gt=until)
        return self.filter(next_deadline_at__isnull=False).update(
            excused_seconds=models.F("excused_seconds") + _unless_after("progressed_at", until, shift),
            excused_silence_seconds=models.F("excused_silence_seconds") + _unless_after("heard_at", until, shift),
            expected_by=models.Case(models.When(counts, then=moved), default=models.F("expected_by")),
            # A look that comes an interval early concludes nothing and sets the exact time.
            next_deadline_at=models.F("next_deadline_at") + silence,
            revision=models.F("revision") + 1,
        )

    def postpone(self, pk: int, *, until: datetime) -> None:
        """Look at one session later, because looking at it failed; counted, and shown in the admin."""
        self.filter(pk=pk).update(next_deadline_at=until, failed_checks=models.F("failed_checks") + 1)

    def waiting(self) -> "SessionQuerySet":
        """Return those that need a person, the longest wait first."""
        return self.exclude(needs=Needs.NOTHING).order_by("needs_since", "pk")

    def in_band(self, band: str) -> "SessionQuerySet":
        """Return the sessions of one band of the wall, in the order in which it shows them."""
        if band == Band.NEEDS:
            return self.waiting()
        calm = self.filter(needs=Needs.NOTHING)
        if band == Band.ADRIFT:
            return calm.filter(ADRIFT).order_by("progressed_at", "pk")
        if band == Band.RUNNING:
            return calm.running().exclude(ADRIFT).order_by("turn_started_at", "pk")
        return calm.exclude(state=State.RUNNING).exclude(ADRIFT).order_by("-last_activity_at", "-pk")

    def with_descendants(self, sessions: "Iterable[Session]") -> "list[Session]":
        """Return sessions, each once, and those of these rows that stand below them, one query a generation."""
        found: dict[int, Session] = {}
        generation = list(sessions)
        while generation:
            found.update((session.pk, session) for session in generation)
            generation = list(self.filter(parent__in=generation).exclude(pk__in=found).order_by("pk"))
        return list(found.values())

    def find(self, session_uuid: uuid.UUID) -> "Session":
        """Return the session with this public id. Raises `NotFound`."""
        session = self.filter(uuid=session_uuid).first()
        if session is None:
            raise NotFound("No such session.")
        return session

    def with_key(self, *, owner: "User", source: str, key: str) -> "SessionQuerySet":
        """Return the undeleted session that `source` calls `key`: none or one."""
        return self.active().filter(owner=owner, source=source, key_digest=digest_of_key(key))
