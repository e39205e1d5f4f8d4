"""Running, stuck or lost: what the server concludes, and when it must look again.

`judge` is pure and the only place where a threshold is compared (LIVENESS.md, "How it is found", 1).
Every verb ends with `settle`, so that the deadline is recomputed in the transaction of the write.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from sessions import downtime
from sessions.exceptions import InvalidRequest
from sessions.models import EventDraft, Lease, Liveness, Needs, Session, State
from sessions.models.prepared import Place, prepared

logger = logging.getLogger(__name__)

DEFAULT_INTERVAL = timedelta(seconds=30)
"""How often an agent that speaks the turn protocol is taken to be heard from when it declares nothing."""
QUIET_AFTER_INTERVALS = 2
LOST_AFTER_INTERVALS = 3
LOST_AFTER_AT_LEAST = timedelta(seconds=90)
REMINDED_AFTER = (timedelta(hours=1), timedelta(hours=4))
REMINDED_EVERY = timedelta(days=1)
"""A person who is waited for is reminded after these times, then every day."""
LONGEST_PATIENCE_SECONDS = int(timedelta(days=7).total_seconds())
"""The longest threshold that one session may have."""

SILENT = frozenset({Liveness.QUIET, Liveness.STUCK, Liveness.LOST})
"""What is concluded from something that did not come."""

_WAITS_FOR = {
    Needs.APPROVAL: "waits for an approval",
    Needs.LOOP_DECISION: "reached its limit of rounds and waits for a decision",
    Needs.INPUT: "waits for an answer",
}

_NOBODY_SAYS = "whether it runs or waits for an approval, its source does not say"
"""Of an open call where no event tells that a person is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a judgement may depend on. Times are the server's."""

    state: str
    needs: str
    turn_started_at: datetime | None
    heard_at: datetime | None
    progressed_at: datetime | None
    heartbeat_interval: timedelta | None
    expected_by: datetime | None
    stuck_after: timedelta
    excused: timedelta
    """Of the time without progress, what was not the agent's fault: no server listened, or a person was waited for."""
    has_events: bool
    is_imported: bool
    doing: str = ""
    doing_since: datetime | None = None
    needs_since: datetime | None = None
    excused_silence: timedelta = timedelta()
    """The same of the time without any sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is concluded, why, and when to look again (None: never without a new sign)."""

    liveness: str
    reason: str
    next_deadline_at: datetime | None


def facts_of(session: Session) -> Facts:
    """Return the facts of `session`."""
    seconds = session.heartbeat_interval_seconds
    has_heartbeats = session.heartbeat_at is not None
    return Facts(
        state=session.state,
        needs=session.needs,
        needs_since=session.needs_since,
        turn_started_at=session.turn_started_at,
        heard_at=session.heard_at,
        progressed_at=session.progressed_at,
        heartbeat_interval=timedelta(seconds=seconds) if seconds else (DEFAULT_INTERVAL if has_heartbeats else None),
        expected_by=session.expected_by,
        stuck_after=session.stuck_after,
        excused=timedelta(seconds=session.excused_seconds),
        excused_silence=timedelta(seconds=session.excused_silence_seconds),
        has_events=session.has_events,
        is_imported=session.is_imported,
        doing=" ".join(filter(None, [session.doing, session.doing_detail])),
        doing_since=session.doing_since,
    )


def judge(facts: Facts, now: datetime) -> Verdict:
    """Conclude the liveness at `now`; see the table of LIVENESS.md."""
    if facts.state != State.RUNNING:
        return Verdict(liveness=Liveness.RESTING, reason="", next_deadline_at=_reminder(facts, now))
    if facts.is_imported:
        return Verdict(
            liveness=Liveness.UNKNOWN, reason="read from another store, which cannot tell", next_deadline_at=None
        )
    if facts.needs:
        reason = _WAITS_FOR[Needs(facts.needs)]
        return Verdict(liveness=Liveness.LIVE, reason=reason, next_deadline_at=_reminder(facts, now))
    deadlines = _deadlines(facts, now)
    passed = [(at, liveness) for at, liveness in deadlines if at <= now]
    liveness = passed[-1][1] if passed else _when_all_is_well(facts)
    looks = [at for at, _ in deadlines]
    if facts.turn_started_at is not None:
        looks.append(facts.turn_started_at)  # after the clock was set back: from then on it counts again
    return Verdict(
        liveness=liveness,
        reason=_reason(facts, liveness, now),
        next_deadline_at=min((at for at in looks if at > now), default=None),
    )


def _reminder(facts: Facts, now: datetime) -> datetime | None:
    """Return when a person is reminded that they are waited for; a wait has no other timer.

    What was imported reminds nobody.
    """
    if not facts.needs or facts.needs_since is None or facts.is_imported:
        return None
    waited = now - facts.needs_since
    after = next((after for after in REMINDED_AFTER if after > waited), None)
    return facts.needs_since + (after or (waited // REMINDED_EVERY + 1) * REMINDED_EVERY)


def _deadlines(facts: Facts, now: datetime) -> list[tuple[datetime, str]]:
    """Return when the session becomes quiet, stuck and lost, the gravest last."""
    progressed, heard = _since(facts, facts.progressed_at, now), _since(facts, facts.heard_at, now)
    deadlines: list[tuple[datetime, str]] = []
    if progressed is None or heard is None:
        return deadlines
    if facts.has_events or facts.heartbeat_interval:
        quiet_after = QUIET_AFTER_INTERVALS * (facts.heartbeat_interval or DEFAULT_INTERVAL)
        deadlines.append((progressed + quiet_after + facts.excused, Liveness.QUIET))
    deadlines.append((_stuck_at(facts, progressed), Liveness.STUCK))
    if facts.heartbeat_interval:
        lost_after = max(LOST_AFTER_INTERVALS * facts.heartbeat_interval, LOST_AFTER_AT_LEAST)
        deadlines.append((heard + lost_after + facts.excused_silence, Liveness.LOST))
    return deadlines


def _since(facts: Facts, told_at: datetime | None, now: datetime) -> datetime | None:
    """Return when the source last told something, or the turn began if that was later.

    A turn that begins after `now` began before the clock was set back: what was told since is the truth.
    """
    began_at = facts.turn_started_at
    if began_at is None or told_at is None:
        return told_at or began_at
    return told_at if began_at > now else max(began_at, told_at)


def _stuck_at(facts: Facts, progressed: datetime) -> datetime:
    """Return when a lack of progress has lasted too long: an activity's own budget goes before the threshold.

    One that moves within its budget and beyond is not stuck while it moves. What is excused has moved a budget that
    there was then (`WatchedSession.move_budget`), and is none of one that was declared later.
    """
    usual = progressed + facts.stuck_after + facts.excused
    if facts.expected_by is None:
        return usual
    has_moved = facts.doing_since is not None and progressed > facts.doing_since
    return max(facts.expected_by, usual) if has_moved else facts.expected_by


def _when_all_is_well(facts: Facts) -> str:
    """Return what a running session is before any deadline: live only if its source could say otherwise."""
    return Liveness.LIVE if facts.has_events or facts.heartbeat_interval else Liveness.UNKNOWN


def _reason(facts: Facts, liveness: str, now: datetime) -> str:
    """Return the reason in words that a person can check."""
    if liveness == Liveness.LIVE:
        return ""
    if liveness == Liveness.UNKNOWN:
        return f"no result yet; {_NOBODY_SAYS}" if facts.doing else "running; its source reports no events"
    since = _since(facts, facts.heard_at if liveness == Liveness.LOST else facts.progressed_at, now)
    age = spell(now - (since or now))
    while_open = f" while {facts.doing} is open" if facts.doing else ""
    silent = "nothing heard" if liveness == Liveness.LOST else "no progress"
    is_told = not facts.doing or _when_all_is_well(facts) == Liveness.LIVE
    return f"{silent} for {age}{while_open}{'' if is_told else f'; {_NOBODY_SAYS}'}"


def explain(session: Session, now: datetime) -> str:
    """Return the reason for the session's liveness in words that are true at `now`.

    The column `liveness_reason` says what was true when it was concluded; its ages stand still.
    """
    if session.liveness not in SILENT or session.needs or not session.is_running:
        return str(session.liveness_reason)
    return _reason(facts_of(session), session.liveness, now)


def spell(span: timedelta) -> str:
    """Return a span as people say it: `42 s`, `6 m 10 s`, `1 h 02 m`."""
    seconds = max(0, int(span.total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} m"
    return f"{minutes} m {seconds:02} s" if minutes else f"{seconds} s"


def settle(session: Session, now: datetime) -> list[EventDraft]:
    """Judge a locked session after a change, set its deadline, and return the event of a changed liveness.

    The caller appends what comes back to its own events and hands all to `session.record`, so that the
    change, its proof and the next deadline are one transaction.
    """
    before, newest = session.liveness, session.last_seq + 1
    verdict = judge(facts_of(session), now)
    is_changed = session.conclude(
        verdict.liveness,
        reason=verdict.reason,
        next_deadline_at=verdict.next_deadline_at,
        # What proves a silence is the last event before it; all else is proved by what has just come.
        seq=session.progress_seq or newest if verdict.liveness in SILENT else newest,
        now=now,
    )
    if not is_changed:
        return []
    change = {"from": before, "to": verdict.liveness, "reason": verdict.reason, "proof_seq": session.liveness_seq}
    return [EventDraft(type="server.liveness_changed", payload=change, turn_id=session.turn_id)]


def set_patience(session_id: int, seconds: int | None, *, by: str, now: datetime | None = None) -> Session:
    """Set how long one session may go without progress, in seconds; None: as its agent, or KODA_STUCK_AFTER, says.

    The change is judged at once. Raises `NotFound`, or `InvalidRequest` for less than a second.
    """
    if seconds is not None and not 0 < seconds <= LONGEST_PATIENCE_SECONDS:
        raise InvalidRequest.field("stuck_after_secs", f"must be from 1 to {LONGEST_PATIENCE_SECONDS:,} seconds")
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        if not session.be_patient(seconds):
            return session
        payload = {"changes": {"stuck_after_secs": seconds}, "by": by}
        edited = EventDraft(type="server.session_edited", payload=payload)
        session.record([edited, *settle(session, now)], now=now)
    return session


# --- The watchdog --------------------------------------------------------------------------------------------

WATCHED_AT_ONCE = 200
"""Sessions that one batch of the watchdog looks at."""
BATCHES_AT_ONCE = 10
"""Full batches that one pass does before it lets others have their turn."""
POSTPONED_BY = timedelta(minutes=1)
"""How long a session rests whose check failed."""

WATCHDOG = "watchdog"
"""The lease under which the watchdog runs, and whose last run health and the wall show."""
LISTENING = downtime.LISTENING
LISTENING_EVERY = timedelta(seconds=5)
LATE_AFTER = timedelta(minutes=1)
"""When the watchdog has not looked for this long, health and the wall say so."""
DEAF_AFTER = timedelta(seconds=20)
"""When no server has noted for this long that it listens, none could hear the agents either."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one pass did: sessions that were due, those whose liveness changed, those whose check failed."""

    due: int
    changed: int
    failed: int

    def __add__(self, other: "Watched") -> "Watched":
        """Return the sums."""
        return Watched(self.due + other.due, self.changed + other.changed, self.failed + other.failed)


def watch(*, now: datetime | None = None, beside: Collection[int] = ()) -> Watched:
    """Look at one batch of the sessions whose deadline has passed and record what changed.

    Any number of watchdogs may run: each session is judged again under its lock, so exactly one of them finds the
    change and writes its one event. With nothing due this is one look at a small index. A session whose row somebody
    holds is left to the next pass: whoever writes to it judges it. One whose check fails is put off alone and counted;
    a database that does not answer ends the pass and blames no session. Those in `beside` are passed over.
    """
    now = now or timezone.now()
    due = _due(now, at_most=WATCHED_AT_ONCE)
    changed = failed = 0
    for pk in due:
        if pk in beside:
            continue
        try:
            changed += _watch_one(pk, now)
        except OperationalError:
            raise
        except Exception:
            failed += 1
            logger.exception("The check of session %s failed; it is put off", pk)
            Session.objects.postpone(pk, until=now + POSTPONED_BY)
    return Watched(len(due), changed, failed)


@prepared
def _due(now: Place, *, at_most: int) -> "QuerySet[Session, int]":
    return Session.objects.due(now).values_list("pk", flat=True)[:at_most]


def _watch_one(pk: int, now: datetime) -> bool:
    """Judge one session under its lock; say whether its liveness changed."""
    with transaction.atomic():
        session = Session.objects.locked_if_free(pk)
        if session is None or session.next_deadline_at is None or session.next_deadline_at > now:
            return False
        events = settle(session, now)
        is_changed = bool(events)
        if session.needs and session.needs_since is not None:  # The deadline of one that waits is a reminder.
            reminder = {"needs": session.needs, "waited_secs": int((now - session.needs_since).total_seconds())}
            events.append(EventDraft(type="server.reminded", payload=reminder, turn_id=session.turn_id))
        session.record(events, now=now if events else session.updated_at)  # another deadline is no change
    return is_changed


def keep_watch(*, now: datetime | None = None) -> Watched:
    """Do one pass of the watchdog, in batches; while no server listens, silence proves nothing and it does nothing.

    Nor does it of the sessions to which a silence of the server is still to be excused.
    """
    now = now or timezone.now()
    listening = Lease.objects.at_present(LISTENING)
    if listening is None or not _is_fresh(listening.ran_at, now):
        return Watched(0, 0, 0)
    beside = {pk for owed in downtime.owed_in(listening) for pk in owed.sessions}
    done = Watched(0, 0, 0)
    for _ in range(BATCHES_AT_ONCE):
        batch = watch(now=now, beside=beside)
        done += batch
        if batch.due < WATCHED_AT_ONCE:
            break
    return done


@dataclass(frozen=True, slots=True)
class Watch:
    """When the watchdog last looked, None when it never did, and whether that is too long ago."""

    ran_at: datetime | None
    is_late: bool


def last_watch(now: datetime) -> Watch:
    """Return when a watchdog last looked, whichever process it ran in."""
    ran_at = Lease.objects.last_run(WATCHDOG)
    return Watch(ran_at, ran_at is None or now - ran_at > LATE_AFTER)


def is_listening(now: datetime) -> bool:
    """Say whether a server can hear agents at `now`, and could just before."""
    return _is_fresh(Lease.objects.last_run(LISTENING), now)


def _is_fresh(listened_at: datetime | None, now: datetime) -> bool:
    return listened_at is not None and now - listened_at <= DEAF_AFTER


def listen(*, now: datetime | None = None) -> None:
    """Note that a server listens to agents; after a time in which none did, excuse that silence first.

    So neither a restart of the server nor the sleep of its machine raises an alarm. Every server calls this.
    """
    now = now or timezone.now()
    with transaction.atomic():
        listened_at = Lease.objects.note_run(LISTENING, now=now)
        downtime.excuse_what_is_owed(default_interval=DEFAULT_INTERVAL)
        if listened_at is not None and now - listened_at > DEAF_AFTER:
            excuse_downtime(silent_since=listened_at, now=now)


def excuse_downtime(*, silent_since: datetime, now: datetime | None = None) -> int:
    """Shift every deadline by the time in which no server listened, and one interval; return how many."""
    now = now or timezone.now()
    with transaction.atomic():
        return downtime.excuse(max(now - silent_since, timedelta()), until=now, default_interval=DEFAULT_INTERVAL)
