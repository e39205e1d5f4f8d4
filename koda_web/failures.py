"""Which failures are a database's own, and not of what it was asked."""

from django.db.utils import DatabaseError, InterfaceError, OperationalError


def is_of_database(error: BaseException) -> bool:
    """Say whether a database failed by itself: it does not answer, has no room, is locked, damaged or none at all."""
    # What is of no narrower kind is a file that is damaged, or no database.
    return isinstance(error, InterfaceError | OperationalError) or type(error) is DatabaseError
