"""Files as they grow, are cut, and are written anew in their place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.importers import Opener, discover
from sessions.importers.feeding import Feed
from sessions.importers.records import ImportedMessage
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
