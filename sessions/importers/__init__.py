"""Importers: read a foreign store, yield plain records, and write those through the verbs that every door uses.

A reader knows its format and nothing of Django; `store` knows the verbs and nothing of formats; the registry below is
where they meet. A fourth format is a new reader and one more line in `READERS`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sessions.exceptions import InvalidRequest, NotFound
from sessions.importers import claude_code
from sessions.importers.records import Record, Tally

HEAD_BYTES = 1024 * 1024


class Reader(Protocol):
    """Turns the lines of one file into records; keeps its state, so that a file can be fed as it grows."""

    tally: Tally

    def read(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yield the records of the next whole lines. Never raises over what a line holds."""
        ...

    def settle(self) -> Iterator[Record]:
        """Yield what waited for lines that may still come."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file, and how to tell it. `opens` begins an import, whose readers share what they know."""

    name: str
    source: str
    recognises: Callable[[Path, bytes], bool]
    opens: Callable[[], Callable[[Path], Reader]]


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
)


@dataclass(slots=True)
class Opener:
    """Opens the files of one import, each with the reader of its format."""

    _openers: dict[str, Callable[[Path], Reader]] = field(default_factory=dict)

    def open(self, transcript: Transcript) -> Reader:
        """Return a reader before the first line of the file."""
        kind = transcript.format
        if kind.name not in self._openers:
            self._openers[kind.name] = kind.opens()
        return self._openers[kind.name](transcript.path)


def discover(path: Path) -> list[Transcript]:
    """Return the transcripts at `path`, a file or a folder, parents before the sub-agents in folders below them.

    In a folder, files of no known format are left out. Raises `NotFound` when there is nothing at `path`, and
    `InvalidRequest` when it is a file of no known format.
    """
    if path.is_dir():
        files = sorted(
            (file for file in path.rglob("*") if file.is_file()), key=lambda file: (len(file.parts), str(file))
        )
        return [found for file in files if (found := detect(file))]
    if not path.is_file():
        raise NotFound(f"There is nothing at {path}.")
    transcript = detect(path)
    if transcript is None:
        raise InvalidRequest(f"{path} is no transcript of a known format ({', '.join(kind.name for kind in READERS)}).")
    return [transcript]


def detect(path: Path) -> Transcript | None:
    """Return the file with its format, None when no reader knows it or it cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    return next((Transcript(path, kind) for kind in READERS if kind.recognises(path, head)), None)
