"""What a purge is asked for: one of four policies, an age, and what to narrow it to. Decides, writes nothing."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from sessions.exceptions import InvalidRequest
from sessions.models import Event, Message, Session, State, Status
from sessions.models.event import EventQuerySet
from sessions.models.message import MessageQuerySet
from sessions.models.session_rows import SessionQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_DAYS = 36_500
LONGEST_HOURS = 24 * LONGEST_DAYS
"""A time to live is cut to this: a century, and still within the calendar. Nothing is older."""


class Policy(models.TextChoices):
    """What is purged: archived messages, sessions that nobody used for long, deleted sessions, old events."""

    COMPACTED = "compacted", "archived messages"
    STALE = "stale", "stale sessions"
    DELETED = "deleted", "deleted sessions"
    EVENTS = "events", "old events"

    @property
    def age_field(self) -> str:
        """Return the name of its age, which also says the unit."""
        return "ttl_hours" if self is Policy.STALE else "older_than_days"

    @property
    def unit(self) -> str:
        """Return the unit of its age."""
        return "hours" if self is Policy.STALE else "days"

    @property
    def noun(self) -> str:
        """Return what it counts by."""
        return {Policy.COMPACTED: "message", Policy.EVENTS: "event"}.get(self, "session")

    @property
    def table(self) -> str:
        """Return the name under which a receipt counts that."""
        return f"{self.noun}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy with its age in hours (stale) or days, strictly more; `project` (the path) and `source` narrow it.

    `within` are the sessions that the `asker` (None: the shell, a policy) may purge. A time to live of 0
    hours must be `is_forced`.
    """

    policy: Policy
    age: int
    include_running: bool = False
    project: str = ""
    source: str = ""
    is_forced: bool = False
    asker: "User | None" = None
    within: SessionQuerySet = field(default_factory=Session.objects.all, compare=False)

    def __post_init__(self) -> None:
        """Raise `InvalidRequest` for an age that cannot be, and for one that takes everything without force."""
        name = self.policy.age_field
        if self.age < 0:
            raise InvalidRequest.field(name, "must not be negative")
        if self.policy is Policy.STALE and self.age == 0 and not self.is_forced:
            raise InvalidRequest.field(name, "0 would destroy every session; it has to be forced")
        if self.policy is not Policy.STALE and self.age > LONGEST_DAYS:
            raise InvalidRequest.field(name, f"must be at most {LONGEST_DAYS:,}")
        if self.include_running and self.policy is not Policy.STALE:
            raise InvalidRequest.field("include_running", f"goes with {Policy.STALE.value} only")

    @classmethod
    def of(cls, user: "User", policy: str, age: int, **facts: object) -> Self:
        """Return a rule over what `user` may purge: their own sessions, for staff everybody's."""
        within = Session.objects.changeable_by(user)
        return cls(policy=Policy(policy), age=age, asker=user, within=within, **facts)  # type: ignore[arg-type]

    @property
    def words(self) -> str:
        """Return the rule as people read it."""
        many = "" if self.age == 1 else "s"
        told = {
            Policy.COMPACTED: f"archived more than {self.age:,} day{many} ago",
            Policy.STALE: f"not used for more than {self.age:,} hour{many}",
            Policy.DELETED: f"deleted more than {self.age:,} day{many} ago",
            Policy.EVENTS: f"received more than {self.age:,} day{many} ago",
        }[self.policy]
        narrowed = {"project": self.project, "source": self.source}
        return ", ".join(
            [told, *(["running ones too"] if self.include_running else [])]
            + [f"{name} {value}" for name, value in narrowed.items() if value]
        )

    def criteria(self) -> dict[str, object]:
        """Return the rule as JSON."""
        told = {self.policy.age_field: self.age, "project": self.project, "source": self.source}
        return {**told, "include_running": self.include_running} if self.policy is Policy.STALE else told

    def before(self, now: datetime) -> datetime:
        """Return the instant before which something is due."""
        if self.policy is Policy.STALE:
            return now - timedelta(hours=min(self.age, LONGEST_HOURS))
        return now - timedelta(days=self.age)

    def sessions(self) -> SessionQuerySet:
        """Return the sessions that it is about."""
        exact = {"project_root": self.project, "source": self.source}
        narrowed: SessionQuerySet = self.within.filter(**{name: value for name, value in exact.items() if value})
        return narrowed

    def due_sessions(self, now: datetime) -> Q:
        """Return the condition of a session that this rule destroys as a whole."""
        before = self.before(now)
        if self.policy is Policy.DELETED:
            is_old = Q(deleted_at__lte=before) if self.age == 0 else Q(deleted_at__lt=before)
            return Q(status=Status.DELETED) & is_old
        # The index over time begins with the status: all named, a look reads what is due and not all there is.
        is_stale = Q(status__in=Status.values, last_activity_at__lt=before)
        return is_stale if self.include_running else is_stale & ~Q(state=State.RUNNING)

    def due_messages(self, now: datetime) -> MessageQuerySet:
        """Return the archived messages that are due, over all its sessions; an age of 0 means all (Koda's rule)."""
        rows = Message.objects.archived(before=self.before(now) if self.age else None)
        return rows.filter(session__in=self.sessions().order_by())

    def due_events(self, now: datetime) -> EventQuerySet:
        """Return what agents told that is due, over all its sessions."""
        rows = Event.objects.told_by_agents().filter(received_at__lt=self.before(now))
        return rows.filter(session__in=self.sessions().order_by())
