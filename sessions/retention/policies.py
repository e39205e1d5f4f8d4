"""The policy: what the settings say is to be purged by itself. Off unless a setting names an age."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from sessions.models import Lease
from sessions.retention.purging import Purged, purge
from sessions.retention.rules import Policy, Rule

RETENTION = "retention"
"""The name of the job in the leases."""
EVERY = timedelta(hours=1)
BY = "policy"


def rules() -> list[Rule]:
    """Return the rules that the settings make, whole sessions first: what goes with them need not go before."""
    ages = {
        Policy.DELETED: settings.KODA_RETENTION_DELETED_DAYS,
        Policy.STALE: settings.KODA_RETENTION_STALE_HOURS,
        Policy.COMPACTED: settings.KODA_RETENTION_COMPACTED_DAYS,
        Policy.EVENTS: settings.KODA_RETENTION_EVENTS_DAYS,
    }
    running: bool = settings.KODA_RETENTION_STALE_RUNNING
    return [
        Rule(policy=policy, age=age, include_running=running and policy is Policy.STALE)
        for policy, age in ages.items()
        if age is not None
    ]


def is_time(*, now: datetime | None = None) -> bool:
    """Say whether an hour has passed since the policy was kept to, anywhere."""
    ran_at = Lease.objects.last_run(RETENTION)
    return ran_at is None or (now or timezone.now()) - ran_at >= EVERY


def keep_to_policy(
    is_told_to_stop: Callable[[], bool] = lambda: False, *, now: datetime | None = None
) -> list[Purged] | None:
    """Purge by the settings' rules, unless somebody has done so within the hour (None); return what each did."""
    now = now or timezone.now()
    if not is_time(now=now):
        return None
    return [purge(rule, by=BY, now=now, is_told_to_stop=is_told_to_stop) for rule in rules()]
