"""The command line: ``koda-web`` and ``manage.py``."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.utils import InterfaceError, OperationalError


def main() -> None:
    """Run one command; without any, prepare everything and serve.

    A wrong configuration ends with exit code 2 and the reasons, a database that does not answer with 1 and its words;
    never with a traceback, unless `--traceback` asks for it.
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
    except (InterfaceError, OperationalError) as error:
        if "--traceback" in arguments:
            raise
        sys.stderr.write(f"The database could not be used: {error}\n")
        sys.exit(1)
