"""Destroy what agents streamed long ago."""

from sessions.management.purging import PurgeCommand
from sessions.retention import Policy


class Command(PurgeCommand):
    help = "Destroy for good what agents told longer ago than --older-than days; turns, messages and figures stay."
    policy = Policy.EVENTS
