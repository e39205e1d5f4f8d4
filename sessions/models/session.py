"""A session: one conversation of one agent, with its state, its counters and its place in the log."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, ClassVar

import uuid_utils.compat
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connection, models, transaction
from django.utils import timezone

from sessions import redaction
from sessions.models.alarm import Alarm
from sessions.models.audit import Action, AuditEntry, who
from sessions.models.counted import CountedSession
from sessions.models.destroyed import Destroyed
from sessions.models.event import REMINDED, Event, EventDraft, is_conclusion
from sessions.models.fields import WrittenTextField, require_name
from sessions.models.idempotency import StoredAnswer
from sessions.models.looping import LoopingSession
from sessions.models.purged_session import PurgedSession
from sessions.models.search_index import hold
from sessions.models.session_births import SessionManager
from sessions.models.session_rows import LISTED, Band, Mode, Status, Visibility
from sessions.models.titled import TitledSession
from sessions.models.unindexed import Unindexed
from sessions.models.watched import ADRIFT, Liveness, Needs, State, WatchedSession
from sessions.models.writing import changed_names, update
from sessions.signals import event_recorded


class Session(WatchedSession, CountedSession, LoopingSession, TitledSession):
    """One conversation. `pk` orders by insertion; `uuid` is the id that the world knows."""

    uuid = models.UUIDField(unique=True, default=uuid_utils.compat.uuid7, editable=False)
    owner = models.ForeignKey("auth.User", models.CASCADE, related_name="koda_sessions", db_index=False)
    source = models.CharField(max_length=100, help_text="The installation that speaks for it.")
    key = WrittenTextField(null=True, blank=True, help_text="The client's own name for it, within its source.")
    key_digest = models.CharField(max_length=64, null=True, blank=True, editable=False)
    birth_digest = models.CharField(
        max_length=64,
        null=True,
        blank=True,
        editable=False,
        help_text="Of what was said when it was made: a repeat says the same. Null where an older server made it.",
    )
    agent_name = WrittenTextField()
    project_root = WrittenTextField(null=True, blank=True)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PRIVATE)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    mode = models.CharField(max_length=10, choices=Mode, null=True, blank=True)
    model = WrittenTextField(null=True, blank=True)
    provider = WrittenTextField(null=True, blank=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")
    parent_tool_call_id = WrittenTextField(null=True, blank=True)
    active_checkpoint = models.ForeignKey(
        "koda_sessions.Checkpoint", models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    revision = models.BigIntegerField(default=0, help_text="Grows with each write; compare-and-swap goes by it.")
    has_own_times = models.BooleanField(default=True, help_text="All its messages came with times of their own.")
    # Null is no: a column that may be null is added without rewriting a table to which agents write.
    has_message_aliases = models.BooleanField(
        null=True, help_text="A purge left client ids of messages that are no more."
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    last_activity_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = SessionManager()

    EDITABLE: ClassVar[frozenset[str]] = frozenset(
        {"title", "visibility", "mode", "model", "provider", "parent_tool_call_id"}
    )
    """What `edit` may change."""

    class Meta:
        """Constraints say what can never be; each index says who reads it."""

        constraints = [
            # ZeroClaw: deleting and appending again makes a new session with the same key.
            models.UniqueConstraint(
                fields=["owner", "source", "key_digest"],
                condition=models.Q(key_digest__isnull=False, status="ACTIVE"),
                name="session_key_once",
            ),
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="session_state"),
            models.CheckConstraint(condition=models.Q(liveness__in=Liveness.values), name="session_liveness"),
            models.CheckConstraint(condition=models.Q(needs__in=Needs.values), name="session_needs"),
            models.CheckConstraint(condition=models.Q(visibility__in=Visibility.values), name="session_visibility"),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="session_status"),
            models.CheckConstraint(
                condition=models.Q(state="running") | models.Q(turn_started_at__isnull=True),
                name="session_turn_start_only_while_running",
            ),
            models.CheckConstraint(
                condition=models.Q(deleted_at__isnull=True) ^ models.Q(status="DELETED"),
                name="session_deleted_at_iff_deleted",
            ),
            models.CheckConstraint(
                condition=models.Q(message_count__gte=0, last_seq__gte=0, tool_call_count__gte=0),
                name="session_counts_not_negative",
            ),
        ]
        indexes = [
            # Lists and the wall's last band, all owners (staff) and one owner, newest first.
            models.Index(fields=["status", "-last_activity_at", "-id"], name="session_recent"),
            models.Index(fields=["owner", "status", "-last_activity_at", "-id"], name="session_recent_by_owner"),
            # Koda's and Stakpak's lists: newest born first, ties by insertion.
            models.Index(fields=["status", "-created_at", "-id"], name="session_born"),
            # Stakpak's list of one owner, last changed first.
            models.Index(fields=["owner", "status", "-updated_at", "-id"], condition=LISTED, name="session_listed"),
            # How many there are of an agent or a source, and of what one person may see: from the index alone.
            models.Index(fields=["status", "agent_name", "source", "visibility", "owner"], name="session_counts"),
            # Koda's list of one project.
            models.Index(fields=["project_root", "-created_at", "-id"], name="session_by_project"),
            # Running and stuck lists.
            models.Index(
                fields=["status", "turn_started_at", "id"],
                condition=models.Q(state="running"),
                name="session_running",
            ),
            # Incidents: how many of one installation's running sessions are silent.
            models.Index(
                fields=["owner", "source", "liveness"],
                condition=models.Q(state="running"),
                name="session_running_by_source",
            ),
            # The watchdog: what is due.
            models.Index(
                fields=["next_deadline_at", "id"],
                condition=models.Q(next_deadline_at__isnull=False),
                name="session_due",
            ),
            # The wall's first two bands. What all ask for comes first: else SQLite takes an index of all sessions.
            models.Index(fields=["status", "needs_since", "id"], condition=~models.Q(needs=""), name="session_waiting"),
            models.Index(
                fields=["status", "progressed_at", "id"],
                condition=ADRIFT,
                name="session_adrift",
            ),
        ]

    def __str__(self) -> str:
        """Return the title as people see it."""
        return self.display_title

    @property
    def display_title(self) -> str:
        """Return the title, else the key, else the end of the id; what is blank cannot be clicked on."""
        names = (name for name in (self.title, self.key) if name and not name.isspace())
        return next(names, f"Session {str(self.uuid)[-12:]}")

    @property
    def project_name(self) -> str:
        """Return the last part of the project's path, or an empty text."""
        return _last_part(self.project_root or "")

    @property
    def is_deleted(self) -> bool:
        """Say whether it was softly deleted."""
        return self.status == Status.DELETED

    @property
    def takes_commands(self) -> bool:
        """Say whether its agent speaks the protocol by which people can tell it something."""
        return self.has_events and self.may_take_commands

    @property
    def may_take_commands(self) -> bool:
        """Say whether its agent could be told something, if it speaks or comes to speak that protocol."""
        return not self.is_imported and not self.is_deleted

    @property
    def band(self) -> str:
        """Return the band of the wall in which it stands."""
        if self.needs:
            return Band.NEEDS.value
        if self.liveness in {Liveness.STUCK, Liveness.LOST}:
            return Band.ADRIFT.value
        return Band.RUNNING.value if self.is_running else Band.RECENT.value

    @property
    def look(self) -> str:
        """Return the one word that chooses icon and colour (the `data-state` of a part)."""
        if self.needs:
            return "needs"
        if self.state == State.ERROR:
            return "failed"
        return self.liveness

    def may_be_read_by(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Say whether `user` may see this session; whoever has the link of a public one may."""
        return self.visibility == Visibility.PUBLIC or self.may_be_changed_by(user)

    def may_be_changed_by(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Say whether `user` may write to this session: its owner and staff may."""
        return user.is_authenticated and (self.owner_id == user.pk or getattr(user, "is_staff", False))

    def activity_after(self, times: Sequence[datetime | None], *, now: datetime) -> datetime:
        """Return when the session was last active, once messages that bear these times are in it.

        When all its messages came with times of their own it is the newest of them, else `now` (API.md 5).
        """
        own = [at for at in times if at is not None]
        self.has_own_times = self.has_own_times and len(own) == len(times)
        if not self.has_own_times or not own:
            return now
        return max(own) if self.message_count == 0 else max(self.last_activity_at, *own)

    def record(
        self, drafts: Iterable[EventDraft], *, now: datetime, activity_at: datetime | None = None
    ) -> list[Event]:
        """Write the session's changed columns and append `drafts` to its log; ring the bell after commit.

        The one way in which a change of a session reaches the database, and so the place where an alarm is raised.
        The caller holds the row's lock (`Session.objects.locked`) inside a transaction. `activity_at` becomes
        `last_activity_at`. Returns the events with their seqs.
        """
        pending = list(drafts)
        first = self.last_seq + 1
        self.last_seq += len(pending)
        self.revision += 1
        self.updated_at = self.updated_at if is_conclusion(pending) else now
        if activity_at is not None:
            self.last_activity_at = activity_at
        changed = self._changed_columns()
        if changed is None:
            self.save()
        else:
            update(self, changed)
        events = Event.objects.append(self, pending, first_seq=first, now=now)
        is_reminder = any(draft.type == REMINDED for draft in pending)
        Alarm.objects.raise_for(self, changed=changed or (), now=now, is_reminder=is_reminder)
        Unindexed.objects.note(self, events, changed=changed)
        AuditEntry.objects.note_events(self, pending, now=now)
        if events:
            self.ring()
        return events

    def remember_columns(self) -> None:
        """Note the columns as they are now, so that `record` writes only those that change."""
        vars(self).pop("_remembered", None)
        self._remembered = vars(self).copy()

    def _changed_columns(self) -> list[str] | None:
        """Return the names of the columns that changed since they were noted; None when they never were."""
        before: dict[str, Any] | None = getattr(self, "_remembered", None)
        self.remember_columns()
        return None if before is None else changed_names(self, before)

    def ring(self) -> None:
        """Ring the bell once this transaction has committed."""
        ring = partial(event_recorded.send_robust, sender=Session, session_id=self.pk, seq=self.last_seq)
        transaction.on_commit(ring, robust=True)

    def edit(
        self, *, by: str, now: datetime | None = None, is_title_derived: bool = False, **changes: Any
    ) -> "Session":
        """Change title, visibility, mode, model or provider; record what changed, once.

        `by` says who asked ("user:3", "key:7", "agent"). An empty title clears it. `is_title_derived`: another store
        made it from the first prompt. An edit that changes nothing records nothing. Returns the session as it now is.
        Raises `NotFound` when it has gone.
        """
        now = now or timezone.now()
        with transaction.atomic():
            session = Session.objects.locked(self.pk)
            changed: dict[str, Any] = {}
            for field, value in changes.items():
                assert field in self.EDITABLE, field  # a door passed a column that it must not
                wanted = (require_name(field, value) or None) if isinstance(value, str) else value
                if field == "title":
                    wanted = redaction.clean(wanted)
                if field == "mode" and wanted is not None:
                    wanted = session.trusted_at_most(wanted)
                is_other = field == "title" and session.is_title_derived != is_title_derived
                if getattr(session, field) != wanted or is_other:
                    setattr(session, field, wanted)
                    changed[field] = wanted
            if changed:
                payload: dict[str, Any] = {"changes": changed}
                if "title" in changed:
                    session.is_title_derived = is_title_derived
                    payload = session.title_made_anew(changed) if is_title_derived else payload
                session.record([EventDraft(type="server.session_edited", payload={**payload, "by": by})], now=now)
        return session

    def unname(self, *, prompt: str, by: str, now: datetime | None = None) -> "Session":
        """Take back the title that was given; `prompt`, the first one, makes one that nobody gave.

        Without a given title nothing is recorded. Returns the session as it now is. Raises `NotFound`.
        """
        with transaction.atomic():
            session = Session.objects.locked(self.pk)
            if session.lose_name(prompt=redaction.clean(prompt)):
                payload = {**session.title_made_anew(), "by": by}
                session.record([EventDraft(type="server.session_edited", payload=payload)], now=now or timezone.now())
        return session

    def date(self, at: datetime, *, by: str) -> bool:
        """Let `updated_at` be when its own store last changed it; say whether that is so now.

        Only if the last change here was made by `by`, who mirrors that store: what others did since is newer. It is no
        event, since nothing has happened.
        """
        with transaction.atomic():
            session = Session.objects.locked(self.pk)
            last = session.events.changes().order_by("-seq").first()
            if last is None or last.payload.get("by") != by:
                return False
            if session.updated_at != at:
                session.record([], now=at)
        return True

    def see(self, user: AbstractBaseUser | AnonymousUser, *, now: datetime | None = None) -> bool:
        """Clear the mark "done but unseen" when `user`, its owner, looks; say whether there was one to clear."""
        if not self.is_unseen or self.owner_id != user.pk:
            return False
        with transaction.atomic():
            session = Session.objects.locked(self.pk)
            if session.be_seen():
                seen = EventDraft(type="server.session_seen", payload={"by": who(user)})
                session.record([seen], now=now or timezone.now())
        self.is_unseen = False
        return True

    def trusted_at_most(self, mode: str) -> str:
        """Return `mode`, or the parent's where that is lower: a child is never above its parent (Koda's rule)."""
        return Mode.at_most(mode, self.parent.mode if self.parent else None)

    def trust(self, mode: str) -> None:
        """Enter a mode, as far as the parent's allows."""
        self.mode = self.trusted_at_most(mode)

    def note_model(self, *, model: str | None, provider: str | None) -> None:
        """Take over a switch of model or provider that the agent told of; None leaves it as it is."""
        self.model = model or self.model
        self.provider = provider or self.provider

    def remove(self, *, by: str, now: datetime | None = None) -> bool:
        """Delete softly: lists leave it out, its id still reads. Say whether it was there to delete."""
        now = now or timezone.now()
        with transaction.atomic():
            session = Session.objects.locked(self.pk)
            if session.is_deleted:
                return False
            session.status = Status.DELETED
            session.deleted_at = now
            session.next_deadline_at = None
            session.record([EventDraft(type="server.session_deleted", payload={"by": by})], now=now)
        return True

    def destroy(self, *, by: str | None = None, now: datetime | None = None) -> dict[str, int]:
        """Remove this session for good, with all that is below it; whoever watches any of it is told by the bell.

        Who does not hear it finds what `Destroyed` keeps. The answers that are kept for repeated requests go with it:
        some repeat its words. That imported ones were here is remembered, so that no import brings them back. Return
        how many rows went, by the label of their model. `by` says which person asked for this one, for the audit log;
        who destroys many notes that once. Nothing is indexed meanwhile, as in a purge: the index holds rows that are
        to go.
        """
        with transaction.atomic():
            hold(connection)
            session = Session.objects.locked_to_destroy(self.pk)
            now = now or timezone.now()
            all_going = session.locked_with_descendants()
            answers = StoredAnswer.objects.forget(all_going, now=now)
            PurgedSession.objects.note(all_going)
            for going in all_going:
                going.last_seq += 1
                going.ring()
            if by is not None:
                subject, messages = str(session.uuid), session.message_count
                AuditEntry.objects.note(Action.DESTROYED, by=by, subject=subject, now=now, message_count=messages)
            destroyed = Destroyed.objects.of(all_going, now=now)
            gone = session.delete()[1]
            Destroyed.objects.note(destroyed)
            return {**gone, **answers}

    def locked_with_descendants(self) -> list["Session"]:
        """Return this session and all that its sub-agents made below it, one query a generation, locked to destroy.

        A parent comes first: then no child is born below it any more.
        """
        return Session.objects.select_for_update().with_descendants([self])


@lru_cache(maxsize=1_000)
def _last_part(path: str) -> str:
    """Return the last part of a path of either kind: many sessions share a few."""
    return (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).name or path
