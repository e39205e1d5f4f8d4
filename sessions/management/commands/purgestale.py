"""Destroy sessions that nobody has used for long."""

from sessions.management.purging import PurgeCommand
from sessions.retention import Policy


class Command(PurgeCommand):
    help = (
        "Destroy for good the sessions that were last active longer ago than --ttl hours; running ones are left alone."
    )
    policy = Policy.STALE
