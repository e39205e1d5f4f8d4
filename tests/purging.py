"""Purges, said in one line."""

from typing import Any

from django.contrib.auth.models import User

from sessions import retention
from sessions.models import Session
from sessions.retention import Policy, Purged, Rule


def purge(policy: str, age: int = 0, *, by: str = "test", now: Any = None, **facts: Any) -> Purged:
    """Purge by a rule over everybody's sessions, unless `within` or an `asker` says otherwise."""
    return retention.purge(Rule(policy=Policy(policy), age=age, **facts), by=by, now=now)


def purge_archived(owner: User, *, min_age_days: int = 0, by: str = "test", now: Any = None) -> int:
    """Purge what is archived in the sessions of `owner`; return how many messages went."""
    within = Session.objects.filter(owner=owner)
    return purge("compacted", min_age_days, by=by, now=now, within=within).counts.get("messages", 0)
