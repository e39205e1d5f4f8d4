"""A file read in pieces, or again from the start after a cut anywhere, gives the same history as read whole."""

from pathlib import Path

import pytest

from sessions.importers.claude_code import ClaudeCodeReader
from sessions.importers.lines import LineSplitter
from tests.importers.lines import call, encode, make_answer, make_prompt, make_result, text, thinking
from tests.importers.reading import Shelf, read, transcripts_under

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SMALL = [path for path in transcripts_under(SHARED) if path.stat().st_size < 60_000] if SHARED.is_dir() else []

OWN = encode(
    make_prompt("Count the lamps"),
    make_answer("m1", thinking("Two rooms to look at."), output=1),
    make_answer("m1", call("c1"), output=1),
    make_result("c1"),
    make_answer("m1", call("c2"), output=40),
    make_result("c2", is_error=True),
    make_answer("m2", text("Nine lamps."), output=4),
    make_prompt("Thank you"),
    make_answer("m3", text("You are welcome."), output=6),
)


def whole(data: bytes) -> Shelf:
    shelf = Shelf()
    shelf.add(read(data)[0])
    return shelf


def cuts(data: bytes) -> list[int]:
    """The end of every line, and the middle of every line."""
    ends = [at + 1 for at, byte in enumerate(data) if byte == 0x0A]
    starts = [0, *ends]
    return sorted({*ends, *((start + end) // 2 for start, end in zip(starts, [*ends, len(data)], strict=True))})


def check_read_again_after_a_cut(data: bytes) -> None:
    expected = whole(data)
    for cut in cuts(data):
        shelf = Shelf()
        shelf.add(read(data[:cut])[0])
        shelf.add(read(data)[0])
        assert shelf.contents() == expected.contents(), cut
        before = len(shelf.messages)
        shelf.add(read(data)[0])
        assert len(shelf.messages) == before


def check_followed(data: bytes) -> None:
    """One reader that is told to settle after every piece, as when a file rests."""
    reader, splitter, shelf, start = ClaudeCodeReader(name="file"), LineSplitter(longest=1 << 26), Shelf(), 0
    for cut in [*cuts(data), len(data)]:
        shelf.add(reader.read(splitter.feed(data[start:cut])))
        shelf.add(reader.settle())
        start = cut
    shelf.add(reader.read(splitter.finish()))
    shelf.add(reader.settle())
    assert shelf.contents() == whole(data).contents()


def test_own_file_cut_anywhere():
    for cut in range(len(OWN) + 1):
        shelf = Shelf()
        shelf.add(read(OWN[:cut])[0])
        shelf.add(read(OWN)[0])
        assert shelf.contents() == whole(OWN).contents(), cut


def test_own_file_followed():
    check_followed(OWN)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem[:24])
def test_recorded_file_read_again_after_a_cut(path: Path):
    check_read_again_after_a_cut(path.read_bytes())


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem[:24])
def test_recorded_file_followed(path: Path):
    check_followed(path.read_bytes())
