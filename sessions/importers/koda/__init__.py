"""Reader of the database that Koda keeps: `koda.db`, SQLite, one for all projects.

The source of what its tables mean is contracts/koda.md, sections 1 and 2.
"""

from sessions.importers.koda.database import KodaDatabase
from sessions.importers.koda.reader import KodaReader

__all__ = ["KodaDatabase", "KodaReader"]
