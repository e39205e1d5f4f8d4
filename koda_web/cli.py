"""The command line: ``koda-web`` and ``manage.py``."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.utils import DatabaseError, InterfaceError

from koda_web.failures import is_of_database

_INTERRUPTED = 130
"""How a shell counts what Ctrl-C ended."""
_UNREAD = 141
"""How a shell counts what ended because nobody reads its output any more, as behind `head`."""
_UNDEFINED_TABLE = "42P01"
"""What PostgreSQL calls it."""


def main() -> None:
    """Run one command; without any, prepare everything and serve.

    A wrong configuration ends with exit code 2 and the reasons, a database that does not answer and a file that cannot
    be read or written with 1 and the system's words, Ctrl-C where a command does not finish something first with 130.
    Never with a traceback, unless `--traceback` asks for it.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")
    program, *arguments = sys.argv
    try:
        for command in [arguments] if arguments else [["setup"], ["serve"]]:
            execute_from_command_line([program, *command])
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except (DatabaseError, InterfaceError) as error:
        reason = _why_unusable(error)
        if reason is None or "--traceback" in arguments:
            raise
        sys.stderr.write(f"The database could not be used: {reason}\n")
        sys.exit(1)
    except (OSError, KeyboardInterrupt) as error:
        if "--traceback" in arguments:
            raise
        sys.exit(_told(error))


def _told(error: OSError | KeyboardInterrupt) -> int:
    """Tell what the system has refused, or who has come between, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("Interrupted.\n")
        return _INTERRUPTED
    try:
        sys.stdout.flush()
    except OSError:  # or Python would try again at its end, and tell of that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return _UNREAD
    reason = error.strerror or str(error)
    sys.stderr.write(f"{error.filename}: {reason}\n" if error.filename else f"{reason}\n")
    return 1


def _why_unusable(error: DatabaseError | InterfaceError) -> str | None:
    """Return in one line why a database is of no use; None when it is our own fault, which a traceback explains."""
    says = (str(error).splitlines() or [""])[0]
    if "no such table" in says or getattr(error.__cause__, "sqlstate", None) == _UNDEFINED_TABLE:
        return f"{says}. Run the command setup first."
    return says if is_of_database(error) else None
