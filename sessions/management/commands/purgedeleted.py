"""Destroy what is left of sessions that were deleted long ago."""

from sessions.management.purging import PurgeCommand
from sessions.retention import Policy


class Command(PurgeCommand):
    help = "Destroy for good the sessions that were deleted longer ago than --older-than days."
    policy = Policy.DELETED
