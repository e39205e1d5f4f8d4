"""What the watch needs to know of a session: when it was heard from, what it is doing, what it needs."""

from datetime import datetime, timedelta
from math import ceil

from django.conf import settings
from django.db import models

from sessions.models.fields import WrittenTextField


class State(models.TextChoices):
    """What the agent said of itself; the words of the contracts."""

    IDLE = "idle"
    RUNNING = "running"
    ERROR = "error"


class Liveness(models.TextChoices):
    """What the server concludes; never overwrites the state and is always reversible (LIVENESS.md)."""

    LIVE = "live"
    QUIET = "quiet"
    STUCK = "stuck"
    LOST = "lost"
    RESTING = "resting"
    UNKNOWN = "unknown"


ADRIFT = models.Q(liveness=Liveness.STUCK.value) | models.Q(liveness=Liveness.LOST.value)
"""Stuck or lost. No list of values: SQLite does not see that it is what an index is limited to."""


class Needs(models.TextChoices):
    """What a person must do; empty means nothing."""

    NOTHING = ""
    APPROVAL = "approval"
    LOOP_DECISION = "loop_decision"
    INPUT = "input"


ACTIVITY_LENGTH = 200
"""Characters kept of the name of an activity."""
BEAT_SECONDS = 30
"""Width of one bar of the sparkline, in seconds."""
BEATS_KEPT = 24
"""Bars of the sparkline: the last twelve minutes."""


def _seconds(span: timedelta) -> int:
    """Return whole seconds, never fewer than `span` has: an excuse must not end too early."""
    return max(0, ceil(span.total_seconds()))


def _excused(seconds: int, since: datetime, *, told_at: datetime | None, now: datetime) -> int:
    """Return what is excused of the time since `told_at` after a wait from `since` to `now`, `seconds` before it."""
    began_at = told_at or since
    return min(seconds + _seconds(now - max(since, began_at)), _seconds(now - began_at))


class WatchedSession(models.Model):
    """The columns of a session that `liveness.judge` reads and the methods that keep them.

    All times are the server's. None of the methods writes to the database: the verb that calls
    them holds the lock and ends with `Session.record`.
    """

    state = models.CharField(max_length=10, choices=State, default=State.IDLE)
    turn_id = WrittenTextField(null=True, blank=True)
    turn_started_at = models.DateTimeField(null=True, blank=True, help_text="Set by each running, cleared by the rest.")
    liveness = models.CharField(max_length=10, choices=Liveness, default=Liveness.RESTING)
    liveness_since = models.DateTimeField()
    liveness_reason = WrittenTextField(blank=True, default="")
    liveness_seq = models.BigIntegerField(null=True, blank=True, help_text="The event that proves the liveness.")
    needs = models.CharField(max_length=20, choices=Needs, default=Needs.NOTHING, blank=True)
    needs_since = models.DateTimeField(null=True, blank=True)
    next_deadline_at = models.DateTimeField(null=True, blank=True, help_text="When the watchdog looks again.")
    heard_at = models.DateTimeField(null=True, blank=True, help_text="Last sign of any kind.")
    progressed_at = models.DateTimeField(null=True, blank=True, help_text="Last sign of progress.")
    progress_seq = models.BigIntegerField(
        null=True, blank=True, help_text="Newest event of progress: what proves a silence."
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    heartbeat_interval_seconds = models.PositiveIntegerField(null=True, blank=True)
    progress = models.BigIntegerField(null=True, blank=True, help_text="The sender's own growing number.")
    expected_by = models.DateTimeField(null=True, blank=True, help_text="Budget of the open activity.")
    stuck_after_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Overrides KODA_STUCK_AFTER.")
    has_events = models.BooleanField(default=False, help_text="Its source speaks the turn protocol.")
    is_imported = models.BooleanField(default=False, help_text="Read from a foreign store; never alarms.")
    excused_seconds = models.PositiveIntegerField(
        default=0, help_text="Of the time without progress, what was the server's own fault."
    )
    excused_silence_seconds = models.PositiveIntegerField(
        default=0, help_text="Of the time without any sign, what was the server's own fault."
    )
    doing = WrittenTextField(blank=True, default="", help_text="The open activity, such as a tool.")
    doing_detail = WrittenTextField(blank=True, default="", help_text="The argument that matters.")
    doing_since = models.DateTimeField(null=True, blank=True)
    is_unseen = models.BooleanField(default=False, help_text="Its last turn ended, and its owner has not looked since.")
    beats = models.JSONField(default=list, blank=True, help_text="[[bucket, events], …], the last twelve minutes.")
    failed_checks = models.PositiveIntegerField(default=0, help_text="Times the watchdog failed on this session.")

    class Meta:
        """Only the columns; the indexes stand with the table."""

        abstract = True

    @property
    def stuck_after(self) -> timedelta:
        """Return how long this session may go without progress: its own threshold, its agent's, or the general one."""
        if self.stuck_after_seconds is not None:
            return timedelta(seconds=self.stuck_after_seconds)
        by_agent: dict[str, timedelta] = settings.KODA_STUCK_AFTER_BY_AGENT
        default: timedelta = settings.KODA_STUCK_AFTER
        return by_agent.get(getattr(self, "agent_name", ""), default)

    def be_patient(self, seconds: int | None) -> bool:
        """Set a threshold of its own, or None for the usual one; say whether that is a change."""
        is_change = seconds != self.stuck_after_seconds
        self.stuck_after_seconds = seconds
        return is_change

    @property
    def is_running(self) -> bool:
        """Say whether the agent said that it works."""
        return self.state == State.RUNNING

    def note_protocol(self) -> None:
        """Remember that the source of this session speaks the turn protocol, so that silence means something."""
        self.has_events = True

    def hear(self, now: datetime, *, is_progress: bool, event_count: int = 1) -> None:
        """Note a sign of life at `now`; `event_count` new events beat in the sparkline."""
        self.heard_at = now
        self.excused_silence_seconds = 0
        if is_progress:
            self.progressed_at = now
            self.excused_seconds = 0
        self.beat(now, event_count)

    def note_progress_at(self, seq: int) -> None:
        """Remember the newest event that showed progress; what is silent later is silent since then."""
        self.progress_seq = seq

    def beat(self, now: datetime, event_count: int) -> None:
        """Add `event_count` to the sparkline's bar of `now` and drop the bars that left the window."""
        bucket = int(now.timestamp()) // BEAT_SECONDS
        bars = {int(at): int(count) for at, count in self.beats if at > bucket - BEATS_KEPT}
        bars[bucket] = bars.get(bucket, 0) + event_count
        self.beats = sorted([at, count] for at, count in bars.items())

    def beat_counts(self, now: datetime) -> list[int]:
        """Return the events in each of the last `BEATS_KEPT` bars, oldest first."""
        newest = int(now.timestamp()) // BEAT_SECONDS
        bars = {int(at): int(count) for at, count in self.beats}
        return [bars.get(at, 0) for at in range(newest - BEATS_KEPT + 1, newest + 1)]

    def move_to(self, state: str, *, turn_id: str | None, now: datetime) -> None:
        """Enter `state`. Each `running` sets the start of the turn, anything else clears it.

        Source: ZeroClaw's set_session_state; the turn id is kept exactly as it was passed.
        """
        if state == State.RUNNING:
            self.is_unseen = False
        elif self.is_running:
            self.is_unseen = not self.is_imported
        self.state = state
        self.turn_id = turn_id
        self.turn_started_at = now if state == State.RUNNING else None
        if state != State.RUNNING:
            self.stop_doing()

    def be_seen(self) -> bool:
        """Note that the owner has looked at what the last turn did; say whether that was still to do."""
        was_unseen = self.is_unseen
        self.is_unseen = False
        return was_unseen

    def do(self, activity: str, *, detail: str = "", now: datetime, expected_by: datetime | None = None) -> None:
        """Begin an activity that people see in words; `expected_by` is its own budget."""
        self.doing = activity[:ACTIVITY_LENGTH]
        self.doing_detail = detail
        self.doing_since = now
        self.expected_by = expected_by

    def stop_doing(self) -> None:
        """End the open activity and its budget."""
        self.doing = self.doing_detail = ""
        self.doing_since = None
        self.expected_by = None

    def take_heartbeat(
        self,
        now: datetime,
        *,
        interval_seconds: int | None,
        progress: int | None,
        expected_by: datetime | None,
    ) -> bool:
        """Note a heartbeat and say whether it carried progress (its number grew)."""
        grew = progress is not None and (self.progress is None or progress > self.progress)
        self.heartbeat_at = now
        if interval_seconds is not None:
            self.heartbeat_interval_seconds = interval_seconds
        if progress is not None:
            self.progress = progress
        if expected_by is not None:
            self.expected_by = expected_by
            self.doing_since = self.doing_since or now  # from here on, what moves goes beyond its budget
        self.hear(now, is_progress=grew, event_count=0)
        return grew

    def budget_from(self, now: datetime) -> datetime:
        """Return from when a budget counts that is declared now; while a person is waited for its clock stands."""
        return now if self.needs_since is None else self.needs_since

    def move_budget(self, span: timedelta) -> None:
        """Put off the end of the open activity's budget by a time that was not the agent's."""
        if self.expected_by is not None:
            self.expected_by += span

    def ask_for(self, needs: str, *, since: datetime) -> timedelta:
        """Say what a person must do; `since` is when the oldest open request came.

        Return the time, until then, in which a person was waited for because of requests that are settled.
        """
        waited = max(since - (self.needs_since or since), timedelta())
        self.move_budget(waited)
        self.needs = needs
        self.needs_since = since
        return waited

    def need_nothing(self, now: datetime) -> timedelta:
        """Say that no person is waited for any more. How long they took is not the agent's silence; it is returned.

        A silence of the server within that time may be excused already: no more is excused than there was.
        """
        since = self.needs_since
        if since is not None:
            self.excused_seconds = _excused(self.excused_seconds, since, told_at=self.progressed_at, now=now)
            self.excused_silence_seconds = _excused(self.excused_silence_seconds, since, told_at=self.heard_at, now=now)
        waited = max(now - (since or now), timedelta())
        self.move_budget(waited)
        self.needs = Needs.NOTHING
        self.needs_since = None
        return waited

    def conclude(
        self, liveness: str, *, reason: str, next_deadline_at: datetime | None, seq: int, now: datetime
    ) -> bool:
        """Take over a judgement and say whether the liveness changed; `seq` is the event that proves it."""
        is_changed = liveness != self.liveness
        if is_changed:
            self.liveness = liveness
            self.liveness_since = now
            self.liveness_seq = seq
        self.liveness_reason = reason
        self.next_deadline_at = next_deadline_at
        return is_changed
