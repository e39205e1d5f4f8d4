"""Importers: read a foreign store, yield plain records, and write those through the verbs that every door uses.

A reader knows its format and nothing of Django; `store` knows the verbs and nothing of formats; the registry below is
where they meet. One more format is a new reader and one more line in `READERS`.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.db import connection

from sessions.exceptions import InvalidRequest, NotFound
from sessions.importers import claude_code, koda, stakpak, zeroclaw
from sessions.importers.changes import Change
from sessions.importers.lines import in_utf8
from sessions.importers.records import Record, Tally

HEAD_BYTES = 1024 * 1024
NEVER_READ = frozenset({"keys.toml", "secrets.json", "auth.toml", "config.toml"})
"""Files that hold secrets beside transcripts: passed over unopened."""
_BESIDE_DATABASES = ("-wal", "-shm", "-journal")
"""How the names of SQLite's own files end."""


class Reader(Protocol):
    """Turns the lines of one file into records; keeps its state, so that a file can be fed as it grows."""

    tally: Tally

    def read(self, lines: Iterable[bytes]) -> Iterator[Record | Change]:
        """Yield the records of the next whole lines. Never raises over what a line holds."""
        ...

    def settle(self) -> Iterator[Record | Change]:
        """Yield what waited for lines that may still come."""
        ...


class TableReader(Protocol):
    """Turns a database into records, all at first and then what has changed."""

    tally: Tally

    def has_news(self) -> bool:
        """Say whether anything was committed since the last pull. Raises `OSError` when the file is not there."""
        ...

    def pull(self, *, progress: Callable[[int], None]) -> Iterator[Record | Change]:
        """Yield what is new; `progress` is told the bytes of each piece. Raises `InvalidRequest` when unreadable."""
        ...

    def close(self) -> None:
        """Let go of the file; a later pull opens it again and goes on."""
        ...


def _no_fault(_path: Path, _head: bytes) -> str | None:
    """Return no reason: nothing more is known of a file of no known format."""
    return None


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file, and how to tell it. `opens` begins an import, whose readers share what they know.

    A database has `opens_tables` instead. `fault` says of a file that is none of these, though it looks alike, why.
    """

    name: str
    source: str
    recognises: Callable[[Path, bytes], bool]
    opens: Callable[[], Callable[[Path], Reader]] | None = None
    opens_tables: Callable[[Path], TableReader] | None = None
    fault: Callable[[Path, bytes], str | None] = _no_fault


@dataclass(frozen=True, slots=True)
class Transcript:
    """A file that can be read, and its format."""

    path: Path
    format: Format


def _claude_code_readers() -> Callable[[Path], Reader]:
    """Return how to open files of one import, whose sub-agents find their calls in each other's files."""
    errands = claude_code.Errands()
    return lambda path: claude_code.ClaudeCodeReader(name=path.stem, errands=errands)


READERS: tuple[Format, ...] = (
    Format(
        name="Claude Code",
        source="claude-code",
        recognises=lambda path, head: claude_code.recognises(path, head=head),
        opens=_claude_code_readers,
    ),
    Format(
        name="Stakpak",
        source="stakpak",
        recognises=lambda path, head: stakpak.StakpakDatabase.recognises(path, head=head),
        opens_tables=stakpak.StakpakReader,
    ),
    Format(
        name="Koda",
        source="koda",
        recognises=lambda path, head: koda.KodaDatabase.recognises(path, head=head),
        opens_tables=koda.KodaReader,
        fault=lambda path, head: koda.KodaDatabase.fault(path, head=head),
    ),
    Format(
        name="ZeroClaw",
        source="zeroclaw",
        recognises=lambda path, head: zeroclaw.ZeroClawDatabase.recognises(path, head=head),
        opens_tables=zeroclaw.ZeroClawReader,
        fault=lambda path, head: zeroclaw.ZeroClawDatabase.fault(path, head=head),
    ),
    Format(
        name="ZeroClaw ACP",
        source="zeroclaw-acp",
        recognises=lambda path, head: zeroclaw.AcpDatabase.recognises(path, head=head),
        opens_tables=zeroclaw.AcpReader,
    ),
    Format(
        name="ZeroClaw JSONL",
        source="zeroclaw-jsonl",
        recognises=lambda path, head: zeroclaw.recognises_lines(path, head=head),
        opens=lambda: zeroclaw.JsonlReader,
    ),
)


@dataclass(slots=True)
class Opener:
    """Opens the files of one import, each with the reader of its format."""

    _openers: dict[str, Callable[[Path], Reader]] = field(default_factory=dict)

    def open(self, transcript: Transcript) -> Reader:
        """Return a reader before the first line of the file."""
        kind = transcript.format
        assert kind.opens is not None
        if kind.name not in self._openers:
            self._openers[kind.name] = kind.opens()
        return self._openers[kind.name](transcript.path)


def discover(path: Path) -> list[Transcript]:
    """Return the transcripts at `path`, a file or a folder, parents before the sub-agents in folders below them.

    In a folder, files of no known format are left out. Raises `NotFound` when there is nothing at `path`, and
    `InvalidRequest` when it is a file of no known format.
    """
    if path.is_dir():
        return [found for file in paths_below(path) if file.is_file() and (found := detect(file))]
    if not path.is_file():
        raise NotFound(f"There is nothing at {path}.")
    transcript = detect(path)
    if transcript is None:
        raise InvalidRequest(_reason(path))
    return [transcript]


def paths_below(folder: Path) -> list[Path]:
    """Return all that is no folder anywhere below one, nearest first; what goes or may not be listed is left out."""
    paths = [Path(above, name) for above, _, names in os.walk(folder) for name in names]
    return sorted(paths, key=lambda path: (len(path.parts), str(path)))


def detect(path: Path) -> Transcript | None:
    """Return the file with its format, None when no reader knows it or it cannot be opened."""
    head = _read_head(path)
    if head is None:
        return None
    return next((Transcript(path, kind) for kind in READERS if kind.recognises(path, head)), None)


def _read_head(path: Path) -> bytes | None:
    """Return how the file begins, its first line whole and in UTF-8; None when it cannot or must not be opened."""
    try:
        if path.name in NEVER_READ or _is_locked_by_us(path):
            return None
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if b"\n" not in head:  # the first line may hold a picture
                head += file.readline(settings.KODA_MAX_BODY)
            return in_utf8(head)
    except OSError:
        return None


def _is_locked_by_us(path: Path) -> bool:
    """Say whether this process may have locks on the file: to close it would give them all up (fcntl, POSIX).

    Our own database lies where somebody imports a home folder; others that are followed are open for as long.
    """
    if path.name.endswith(_BESIDE_DATABASES):
        return True
    ours = Path(connection.settings_dict["NAME"])
    return connection.vendor == "sqlite" and ours.exists() and path.samefile(ours)


def _reason(path: Path) -> str:
    """Return in a sentence why the file is no transcript."""
    head = _read_head(path)
    faults = (kind.fault(path, head) for kind in READERS if head is not None)
    known = ", ".join(kind.name for kind in READERS)
    reasons = dict.fromkeys(filter(None, faults))
    return " ".join(reasons) or f"{path} is no transcript of a known format ({known})."
