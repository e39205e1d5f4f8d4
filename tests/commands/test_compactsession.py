"""manage.py compactsession."""

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_message, make_session

pytestmark = pytest.mark.django_db


def run(session, *arguments):
    output = StringIO()
    call_command("compactsession", str(session.uuid), *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def session():
    session = make_session()
    for number in range(12):
        make_message(session, content=str(number))
    return session


def active(session):
    return [message.content for message in session.messages.unarchived().order_by("pk")]


def test_all_but_the_newest_are_archived_and_the_summary_follows(session):
    assert run(session, "--summary", "Counted.", "--keep", "2", "--yes") == "Archived 10 messages.\n"
    assert active(session)[:3] == ["10", "11", "Counted."]
    assert session.events.get(type="server.compacted").payload["by"] == "shell"


def test_a_dry_run_changes_nothing(session):
    assert run(session, "--summary", "x", "--dry-run") == "Would archive 2 messages.\n"
    assert len(active(session)) == 12


def test_as_json(session):
    told = json.loads(run(session, "--summary", "x", "--keep", "11", "--yes", "--json"))
    assert told == {"session": str(session.uuid), "archived": 1, "dry_run": False}


def test_with_nothing_to_archive_nothing_is_written(session):
    assert "nothing" in run(session, "--summary", "x", "--keep", "12", "--yes")
    assert len(active(session)) == 12


def test_the_summary_may_come_from_standard_input(session, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("From a pipe."))
    run(session, "--summary", "-", "--yes")
    assert "From a pipe." in active(session)


@pytest.mark.parametrize("arguments", [["--summary", " ", "--yes"], ["--summary", "x", "--keep", "-1", "--yes"]])
def test_what_is_not_clear_is_refused(session, arguments):
    with pytest.raises(CommandError):
        run(session, *arguments)
    assert len(active(session)) == 12


def test_without_a_terminal_it_wants_a_yes(session, monkeypatch):
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(CommandError, match="--yes"):
            run(session, "--summary", "x")
