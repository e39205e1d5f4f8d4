"""Files as they grow, are cut, and are written anew in their place."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from sessions.importers import Opener, discover
from sessions.importers.feeding import Feed
from sessions.importers.records import ImportedMessage
from tests.databases import IS_SQLITE
from tests.importers.lines import encode, make_prompt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.jsonl"


def follow(path: Path) -> Feed:
    (transcript,) = discover(path)
    return Feed.of(transcript, opener=Opener())


def prompts(*words: str) -> bytes:
    return encode(*(make_prompt(one) for one in words))


def said(feed: Feed) -> Iterator[str | None]:
    return (record.content for record in feed.pull() if isinstance(record, ImportedMessage))


def write_in_place(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:  # the same file for the system, as also a new one may be
        file.truncate()
        file.write(content)


def test_what_grows_is_read_on(path):
    path.write_bytes(prompts("one"))
    feed = follow(path)
    assert list(said(feed)) == ["one"]
    assert not feed.has_news()
    with path.open("ab") as file:
        file.write(prompts("two"))
    assert feed.has_news()
    assert list(said(feed)) == ["two"]
    assert not feed.has_news()


@pytest.mark.parametrize("anew", [("new", "three"), ("a longer one", "than that"), ("one", "owt"), ("two",)])
def test_what_is_written_anew_in_its_place_is_read_from_its_start(path, anew):
    path.write_bytes(prompts("one", "two"))
    feed = follow(path)
    assert list(said(feed)) == ["one", "two"]
    write_in_place(path, prompts(*anew))
    os.utime(path, ns=(0, 0))  # as if some time had passed
    assert feed.has_news()
    assert list(said(feed)) == list(anew)
    assert feed.tally.bad_lines == []
    assert not feed.has_news()


def test_what_is_only_touched_is_not_read_again(path):
    path.write_bytes(prompts("one"))
    feed = follow(path)
    assert list(said(feed)) == ["one"]
    os.utime(path, ns=(0, 0))
    assert list(said(feed)) == []
    assert not feed.has_news()


def test_a_transcript_with_a_picture_in_its_first_line_is_found(path):
    words = "x" * 3_000_000
    path.write_bytes(prompts(words, "two"))
    assert list(said(follow(path))) == [words, "two"]


_TAKE = """
import fcntl, sys
with open(sys.argv[1], "rb+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, int(sys.argv[2]), int(sys.argv[3]))
"""


def is_free(path: Path, size: int, start: int) -> bool:
    """Say whether another process can lock these bytes: who closes a file has no lock on it any more."""
    command = [sys.executable, "-c", _TAKE, str(path), str(size), str(start)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_the_files_beside_a_database_keep_the_locks_that_we_have_on_them(tmp_path):
    places = [tmp_path / f"koda.db{suffix}" for suffix in ("-wal", "-shm", "-journal")]
    for place in places:
        place.write_bytes(b"lines\n")
    held = [place.open("rb+") for place in places]
    for file in held:
        fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        assert discover(tmp_path) == []
        assert [place for place in places if is_free(place, 0, 0)] == []
    finally:
        for file in held:
            file.close()


@pytest.mark.django_db
@pytest.mark.skipif(not IS_SQLITE, reason="PostgreSQL keeps its files to itself")
def test_our_own_database_in_an_imported_folder_keeps_its_locks(tmp_path):
    connection.cursor().execute("SELECT count(*) FROM koda_sessions_session").fetchone()
    ours = tmp_path / "koda.sqlite3"
    ours.symlink_to(connection.settings_dict["NAME"])
    shared = (510, 0x40000002)  # sqlite.org/fileformat2, the lock-byte page
    assert not is_free(ours, *shared)
    assert discover(tmp_path) == []
    assert not is_free(ours, *shared)
