"""The command line: ``koda-web`` and ``manage.py``."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.utils import DatabaseError, InterfaceError

from koda_web.failures import is_of_database

_INTERRUPTED = 130
"""How a shell counts what Ctrl-C ended."""
_UNDEFINED_TABLE = "42P01"
"""What PostgreSQL calls it."""


def main() -> None:
    """Run one command; without any, prepare everything and serve.

    A wrong configuration ends with exit code 2 and the reasons, a database that does not answer with 1 and its words,
    Ctrl-C where a command does not finish something first with 130. Never with a traceback, unless `--traceback` asks
    for it.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koda_web.settings")
    program, *arguments = sys.argv
    try:
        if arguments:
            execute_from_command_line([program, *arguments])
            return
        execute_from_command_line([program, "setup"])
        execute_from_command_line([program, "serve"])
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except (DatabaseError, InterfaceError) as error:
        reason = _why_unusable(error)
        if reason is None or "--traceback" in arguments:
            raise
        sys.stderr.write(f"The database could not be used: {reason}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        if "--traceback" in arguments:
            raise
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)


def _why_unusable(error: DatabaseError | InterfaceError) -> str | None:
    """Return in one line why a database is of no use; None when it is our own fault, which a traceback explains."""
    says = (str(error).splitlines() or [""])[0]
    if "no such table" in says or getattr(error.__cause__, "sqlstate", None) == _UNDEFINED_TABLE:
        return f"{says}. Run the command setup first."
    return says if is_of_database(error) else None
