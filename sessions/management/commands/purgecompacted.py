"""Destroy archived messages that were archived long ago."""

from sessions.management.purging import PurgeCommand
from sessions.retention import Policy


class Command(PurgeCommand):
    help = "Destroy for good what compactions archived longer ago than --older-than days. Token figures stay."
    policy = Policy.COMPACTED
