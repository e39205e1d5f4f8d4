"""Write everything that is kept of a session into a file, for programs or for people."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions import exports
from sessions.exports import Format
from sessions.management.naming import find_session
from sessions.management.noting import kept_if_noted
from sessions.models import SHELL, Session


class Command(BaseCommand):
    help = "Write everything that is kept of a session, in one of four formats: to a file, or to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("session", metavar="SESSION", help="the id of the session")
        parser.add_argument(
            "--format", dest="form", choices=[one.value for one in Format], default=Format.JSONL.value,
            help="json, jsonl (a record a line), markdown or html; else jsonl",
        )  # fmt: skip
        parser.add_argument("--output", type=Path, metavar="FILE", help="the file to write, which must not exist yet")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON; needs --output")

    def handle(self, *, session: str, form: str, output: Path | None, json: bool, **_options: Any) -> None:
        found = find_session(session)
        if output is None:
            if json:
                raise CommandError("--json goes with --output only.")
            exports.note_taken(found, Format(form), by=SHELL)
            sys.stdout.flush()
            for piece in exports.pieces_of(found, Format(form)):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        lines, size = _write(found, Format(form), output)
        with kept_if_noted(output):
            exports.note_taken(found, Format(form), by=SHELL)
        self.stdout.write(_outcome(found, output, lines, size) if json else f"Wrote {lines:,} lines to {output}.")


def _write(session: Session, form: Format, output: Path) -> tuple[int, int]:
    """Write the export to a new file; return its lines and its bytes. What was not written whole is not left there."""
    lines = size = 0
    try:
        with output.open("xb") as file:
            try:
                for piece in exports.pieces_of(session, form):
                    file.write(piece)
                    lines, size = lines + piece.count(b"\n"), size + len(piece)
            except BaseException:
                output.unlink()
                raise
    except FileExistsError:
        raise CommandError(f"{output} is there already.") from None
    except OSError as error:
        raise CommandError(f"{output} could not be written: {error.strerror}.") from None
    return lines, size


def _outcome(session: Session, output: Path, lines: int, size: int) -> str:
    return json.dumps({"session": str(session.uuid), "output": str(output), "lines": lines, "bytes": size})
