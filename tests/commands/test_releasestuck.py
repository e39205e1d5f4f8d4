"""manage.py releasestuck."""

import json
import os
import pty
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from sessions import liveness
from sessions.models import Session
from tests.factories import make_events, make_session

pytestmark = pytest.mark.django_db
TURN = {"type": "turn_start", "turn_id": "t"}


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("releasestuck", *arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.fixture
def sessions(time_machine):
    """Two that are stuck, for 500 and 300 seconds, and one that works."""
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    found = []
    for seconds in (200, 299, 1):
        found.append(make_session())
        make_events(found[-1], TURN)
        time_machine.shift(seconds)
    liveness.watch()
    return found


def states(sessions):
    return [Session.objects.get(pk=session.pk).state for session in sessions]


def test_all_that_are_stuck(sessions):
    text = run("--all", "--yes")
    assert text.splitlines()[-1] == "Released 2 sessions: their open turns end as abandoned."
    assert states(sessions) == ["idle", "idle", "running"]
    assert sessions[0].turns.get().reason == "abandoned"
    assert sessions[0].events.get(type="server.turn_abandoned").payload["by"] == "shell"
    assert run("--all", "--yes") == "Released nothing.\n"


def test_only_those_that_are_silent_for_long(sessions):
    run("--all", "--older-than", "400", "--yes")
    assert states(sessions) == ["idle", "running", "running"]


def test_a_named_one_whatever_it_does(sessions):
    text = run(str(sessions[2].uuid), "--yes")
    assert text.splitlines()[-1] == "Released 1 session: its open turn ends as abandoned."
    assert states(sessions) == ["running", "running", "idle"]


def test_a_dry_run_changes_nothing(sessions):
    assert run("--all", "--dry-run").splitlines()[-1].startswith("Would release 2 sessions")
    assert states(sessions) == ["running"] * 3


def test_as_json(sessions):
    told = json.loads(run("--all", "--yes", "--json"))
    assert [row["id"] for row in told["released"]] == [str(session.uuid) for session in sessions[:2]]
    assert (told["failures"], told["dry_run"]) == ({}, False)


def test_what_cannot_be_released_is_told_and_the_rest_is_released(sessions):
    idle = make_session()
    output = StringIO()
    with pytest.raises(CommandError, match="1 session could not be released"):
        call_command("releasestuck", str(idle.uuid), str(sessions[0].uuid), "--yes", stdout=output, stderr=output)
    assert "does not run" in output.getvalue()
    assert states(sessions) == ["idle", "running", "running"]


@pytest.mark.parametrize(
    "arguments", [[], ["--all", "x"], ["x", "--older-than", "5"], ["not-an-id", "--yes"], [str(uuid.uuid4()), "--yes"]]
)
def test_what_is_not_clear_is_refused(arguments):
    with pytest.raises(CommandError):
        run(*arguments)


def test_without_a_terminal_it_wants_a_yes(sessions, monkeypatch):
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(CommandError, match="--yes"):
            run("--all")
    assert states(sessions) == ["running"] * 3


@pytest.mark.parametrize(
    ("answer", "expected"), [("y", ["idle", "idle"]), ("n", ["running"] * 2), ("", ["running"] * 2)]
)
def test_on_a_terminal_it_asks(sessions, monkeypatch, capsys, answer, expected):
    ours, its = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        with os.fdopen(its, "r") as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            if answer == "y":
                run("--all")
            else:
                with pytest.raises(CommandError, match="Released nothing"):
                    run("--all")
    finally:
        os.close(ours)
    assert states(sessions[:2]) == expected
    assert "Release 2 sessions?" in capsys.readouterr().out
