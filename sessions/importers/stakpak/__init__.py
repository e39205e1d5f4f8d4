"""Reader of the database that Stakpak keeps on a machine: `~/.stakpak/data/local.db`, SQLite.

The source of what its tables mean is contracts/stakpak.md 4. Nothing else of that folder is opened: beside it lies the
map of redacted secrets.
"""

from sessions.importers.stakpak.reader import StakpakDatabase, StakpakReader

__all__ = ["StakpakDatabase", "StakpakReader"]
