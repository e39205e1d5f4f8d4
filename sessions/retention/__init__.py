"""What may be purged, and purging it: one preview and one purge for every door.

A `Rule` says what is due; `preview` tells what would go, `purge` destroys it and leaves a receipt. Token ledger, turns
and figures of a session stay as long as the session does.
"""

from sessions.retention.archived import ArchivedStats, archived_stats, drop_rows
from sessions.retention.footprints import Kept, Mismeasured, Shelf, kept, measure, measure_again, mismeasured
from sessions.retention.policies import EVERY, RETENTION, is_time, keep_to_policy, rules
from sessions.retention.previewing import Preview, Touched, preview
from sessions.retention.purging import Purged, purge
from sessions.retention.rules import Policy, Rule
from sessions.retention.store import give_back, stored_bytes

__all__ = [
    "EVERY",
    "RETENTION",
    "ArchivedStats",
    "Kept",
    "Mismeasured",
    "Policy",
    "Preview",
    "Purged",
    "Rule",
    "Shelf",
    "Touched",
    "archived_stats",
    "drop_rows",
    "give_back",
    "is_time",
    "keep_to_policy",
    "kept",
    "measure",
    "measure_again",
    "mismeasured",
    "preview",
    "purge",
    "rules",
    "stored_bytes",
]
