"""Alerts: who is told that a session became stuck or lost, or needs a person.

Three steps, each in one transaction, so that no crash loses or doubles anything: `Session.record` writes an alarm
with the change itself; `spread` turns alarms into deliveries, one for each webhook that is to be called (`plan`
decides, purely); `take` hands out what is due to whoever sends it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone

from sessions import incidents
from sessions.incidents import Incident, Place
from sessions.models import Alarm, AlarmKind, Delivery, DeliveryKind, Liveness, Session, Webhook

GATHERED_FOR = timedelta(seconds=10)
"""How long the first silent session of a source waits for others, which would make it an incident."""
SPREAD_AT_ONCE = 500
TAKEN_A_WEBHOOK = 4
"""Deliveries of one webhook that one round takes, so that a slow receiver does not hold up everybody else's."""
WEBHOOKS_AT_ONCE = 50
SESSIONS_NAMED = 20
"""Sessions that the alert of an incident names; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """An alarm, and whose session it is about."""

    session_id: int
    place: Place
    kind: str
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook: whose, for what, how often, and when it was last told of which session or which source."""

    pk: int
    owner_id: int
    kinds: Collection[str]
    quiet_time: timedelta
    told_of_session: Mapping[int, datetime]
    told_of_source: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one webhook is to be told, and when: of one session's alarm, or of an incident."""

    webhook_id: int
    due_at: datetime
    cause: Cause
    incident: Incident | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to tell, and which alarms are settled with it; the others wait for company."""

    notices: list[Notice]
    settled: list[Cause]


def plan(causes: Iterable[Cause], *, hooks: Iterable[Hook], ongoing: Iterable[Incident], now: datetime) -> Plan:
    """Decide who is told of these alarms.

    A session's owner is told, by those of their webhooks that want the kind. Within the quiet time since a webhook
    was last told of a session nothing is sent; the newest alarm is held until its end. Silent sessions of one source
    wait `GATHERED_FOR` for one another; those that an incident covers are told as one, once for each silence.
    """
    settled = _without_gathering(list(causes), now)
    newest = {cause.session_id: cause for cause in sorted(settled, key=lambda cause: cause.seq)}
    covering = {pk: incident for incident in ongoing for pk in incident.sessions}
    notices: list[Notice] = []
    for hook in hooks:
        wanted = [one for one in newest.values() if one.place[0] == hook.owner_id and one.kind in hook.kinds]
        silences: dict[Incident, Cause] = {}
        for cause in wanted:
            incident = covering.get(cause.session_id)
            if cause.kind == AlarmKind.NEEDS or incident is None:
                due_at = _not_before(hook.told_of_session.get(cause.session_id), hook.quiet_time, now)
                notices.append(Notice(webhook_id=hook.pk, due_at=due_at, cause=cause))
            else:
                silences.setdefault(incident, cause)
        for incident, cause in silences.items():
            told_at = hook.told_of_source.get(incident.source)
            if told_at is None or told_at < incident.began_at:  # else it was told of this very silence
                due_at = _not_before(told_at, hook.quiet_time, now)
                notices.append(Notice(webhook_id=hook.pk, due_at=due_at, cause=cause, incident=incident))
    return Plan(notices, settled)


def _without_gathering(causes: list[Cause], now: datetime) -> list[Cause]:
    """Leave out the silent sessions of sources whose oldest such alarm is younger than `GATHERED_FOR`.

    One that lies in the future was raised before the clock was set back.
    """
    oldest: dict[Place, datetime] = {}
    for cause in causes:
        if cause.kind != AlarmKind.NEEDS:
            oldest[cause.place] = min(cause.at, oldest.get(cause.place, cause.at))
    gathering = {place for place, at in oldest.items() if timedelta() <= now - at < GATHERED_FOR}
    return [cause for cause in causes if cause.kind == AlarmKind.NEEDS or cause.place not in gathering]


def _not_before(told_at: datetime | None, quiet_time: timedelta, now: datetime) -> datetime:
    """Return when the quiet time is over, or `now`."""
    return now if told_at is None else max(now, told_at + quiet_time)


# --- From alarms to deliveries -------------------------------------------------------------------------------


def spread(*, now: datetime | None = None) -> int:
    """Turn the alarms that wait into deliveries; return how many of these were written.

    The webhooks are locked first: of several that spread at once, the later sees what the earlier has told.
    """
    now = now or timezone.now()
    # Not by a join: SQLite would go through all sessions, to find each second that there is no alarm.
    alarmed = Session.objects.filter(pk__in=Alarm.objects.order_by().values("session"))
    owners = set(alarmed.order_by().values_list("owner", flat=True).distinct())
    if not owners:
        return 0
    with transaction.atomic():
        called = Webhook.objects.filter(owner__in=owners, owner__is_active=True, is_enabled=True)
        webhooks = list(called.select_for_update(of=("self",)).order_by("pk"))
        alarms = Alarm.objects.filter(session__owner__in=owners).select_related("session").order_by("pk")
        raised = {_cause_of(alarm): alarm for alarm in alarms[:SPREAD_AT_ONCE]}
        is_silent = any(cause.kind != AlarmKind.NEEDS for cause in raised)
        decided = plan(
            raised,
            hooks=_hooks_of(webhooks, {cause.session_id for cause in raised}, now),
            ongoing=incidents.ongoing_of(owners, now=now) if is_silent else (),
            now=now,
        )
        deliveries = [_delivery_for(notice, raised[notice.cause].session) for notice in decided.notices]
        for delivery in deliveries:
            held = Delivery.objects.held(now).filter(webhook=delivery.webhook_id)
            held.filter(session=delivery.session_id, source=delivery.source).delete()  # the newer one takes its place
        written = Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        Alarm.objects.filter(pk__in=[raised[cause].pk for cause in decided.settled]).delete()
    return len(written)


def _cause_of(alarm: Alarm) -> Cause:
    place = (alarm.session.owner_id, alarm.session.source)
    return Cause(session_id=alarm.session_id, place=place, kind=alarm.kind, seq=alarm.seq, at=alarm.at)


def _hooks_of(webhooks: list[Webhook], session_ids: Collection[int], now: datetime) -> list[Hook]:
    """Return these webhooks with what they were told."""
    of_session: dict[int, dict[int, datetime]] = defaultdict(dict)
    of_source: dict[int, dict[str, datetime]] = defaultdict(dict)
    told = Delivery.objects.filter(webhook__in=webhooks).order_by()
    by_session = told.told_by(now).filter(session__in=session_ids).values_list("webhook_id", "session_id")
    for webhook_id, session_id, at in by_session.annotate(at=Max("due_at")):
        of_session[webhook_id][session_id] = at
    silent = told.told_by(now).filter(kind=DeliveryKind.SILENT)
    for webhook_id, source, at in silent.values_list("webhook_id", "source").annotate(at=Max("due_at")):
        of_source[webhook_id][source] = at
    return [
        Hook(
            pk=row.pk, owner_id=row.owner_id, kinds=row.kinds, quiet_time=row.quiet_time,
            told_of_session=of_session[row.pk], told_of_source=of_source[row.pk],
        )
        for row in webhooks
    ]  # fmt: skip


def _delivery_for(notice: Notice, session: Session) -> Delivery:
    """Return the row that holds a notice, not written yet."""
    cause, incident = notice.cause, notice.incident
    own: dict[str, Any] = (
        {"kind": cause.kind, "session": session, "seq": cause.seq, "body": _body_of(cause, session)}
        if incident is None
        else {"kind": DeliveryKind.SILENT, "source": incident.source, "body": _body_of_incident(incident)}
    )
    return Delivery(webhook_id=notice.webhook_id, due_at=notice.due_at, next_attempt_at=notice.due_at, **own)


def _body_of(cause: Cause, session: Session) -> dict[str, Any]:
    """Return what is kept to be told of one session; never what was said in it, nor a title, which may repeat that."""
    since = session.needs_since if cause.kind == AlarmKind.NEEDS else session.liveness_since
    return {
        "session": str(session.uuid),
        "agent": session.agent_name,
        "project": session.project_name,
        "source": session.source,
        "liveness": session.liveness,
        "needs": session.needs or None,
        "reason": session.liveness_reason,
        "since": (since or cause.at).isoformat(),
    }


def _body_of_incident(incident: Incident) -> dict[str, Any]:
    """Return what is kept to be told of a silent source."""
    named = Session.objects.filter(pk__in=incident.sessions[:SESSIONS_NAMED]).order_by("pk")
    return {
        "source": incident.source,
        "reason": f"nothing heard from {incident.count} of its {incident.running} running sessions",
        "since": incident.since.isoformat(),
        "count": incident.count,
        "sessions": [{"session": str(one.uuid)} for one in named],
    }


# --- From deliveries to those who send them ------------------------------------------------------------------


def take(*, now: datetime | None = None) -> list[Delivery]:
    """Return what is to be sent now, claimed for the caller, each with its webhook and session loaded.

    What is over before anybody was told of it is withdrawn instead; what a deactivated user was to be told, given up.
    """
    now = now or timezone.now()
    claimed: list[Delivery] = []
    for delivery in _due(now):
        if not delivery.webhook.owner.is_active:
            delivery.give_up("the owner of the webhook is deactivated", now=now)
        elif delivery.attempts == 0 and not _still_holds(delivery):
            delivery.withdraw()
        elif delivery.claim(now=now):
            claimed.append(delivery)
    return claimed


def told_of(delivery: Delivery) -> dict[str, Any]:
    """Return what a claimed delivery tells: what is kept of it, and sessions by their titles of now.

    Of a silent source those that were destroyed meanwhile are not named; they count.
    """
    told = dict(delivery.body)
    if delivery.session is not None:
        told["title"] = delivery.session.display_title
    if "sessions" in told:
        there = {
            str(one.uuid): one for one in Session.objects.filter(uuid__in=[one["session"] for one in told["sessions"]])
        }
        told["sessions"] = [
            {"session": one["session"], "title": there[one["session"]].display_title}
            for one in told["sessions"]
            if one["session"] in there
        ]
    return told


def _due(now: datetime) -> list[Delivery]:
    """Return some of what is due, of each webhook its oldest."""
    overdue = Delivery.objects.due(now).order_by().values("webhook").annotate(at=Min("next_attempt_at")).order_by("at")
    due: list[Delivery] = []
    for webhook_id in overdue.values_list("webhook", flat=True)[:WEBHOOKS_AT_ONCE]:
        rows = Delivery.objects.due(now).filter(webhook=webhook_id).select_related("webhook__owner", "session")
        due += rows[:TAKEN_A_WEBHOOK]
    return due


def _still_holds(delivery: Delivery) -> bool:
    """Say whether what a delivery tells is still so."""
    adrift = {Liveness.STUCK, Liveness.LOST}
    if delivery.kind == DeliveryKind.SILENT:
        there = Session.objects.running().filter(owner=delivery.webhook.owner_id, source=delivery.source)
        since = datetime.fromisoformat(delivery.body["since"])  # who was heard from later is none of this silence
        return there.filter(liveness__in=adrift, heard_at__lte=since).exists()
    session = delivery.session
    if session is None:
        return True
    holds = bool(session.needs) if delivery.kind == DeliveryKind.NEEDS else session.liveness in adrift
    return holds and not session.is_deleted
