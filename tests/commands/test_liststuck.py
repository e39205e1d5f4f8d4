"""manage.py liststuck."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from sessions import liveness
from tests.factories import make_events, make_session, make_user

pytestmark = pytest.mark.django_db
TURN = {"type": "turn_start", "turn_id": "t"}


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("liststuck", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def sessions(time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    facts = {"owner": make_user("ada"), "project_root": "/home/ada/engine"}
    old = make_session(title="Old", **facts)
    make_events(old, TURN, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "a\x1b[2Jb"}})
    waits = make_session(title="Waits", **facts)
    make_events(waits, TURN, {"type": "approval_request", "id": "a"})
    time_machine.shift(100)
    new = make_session(title="New", **facts)
    make_events(new, TURN)
    make_session(title="Rests", **facts)
    time_machine.shift(230)
    liveness.watch()
    return old, waits, new


def test_those_that_are_stuck_with_both_ages_and_the_reason(sessions):
    line, sentence = run().splitlines()
    assert line.startswith(f"{sessions[0].uuid}  stuck ")
    assert "turn 5 m 30 s" in line
    assert "silent 5 m 30 s" in line
    assert "koda engine: no progress for 5 m 30 s while Bash" in line
    assert "\x1b" not in line
    assert sentence == "1 session is stuck or lost."


def test_the_literal_rule_of_the_contracts(sessions, time_machine):
    time_machine.shift(171)
    lines = run("--threshold", "400").splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        str(sessions[0].uuid),
        str(sessions[1].uuid),
        str(sessions[2].uuid),
    ]
    assert lines[1].split()[1] == "approval"
    assert lines[-1] == "3 sessions are in a turn for over 6 m 40 s."
    assert run("--threshold", "501") == "No session is in a turn for over 8 m 21 s.\n"


def test_as_json(sessions):
    (row,) = json.loads(run("--json"))
    assert row["id"] == str(sessions[0].uuid)
    assert (row["owner"], row["title"], row["liveness"], row["turn_secs"], row["silent_secs"]) == (
        "ada", "Old", "stuck", 330, 330,
    )  # fmt: skip


def test_nothing_to_list():
    assert run() == "No session is stuck or lost.\n"
    assert json.loads(run("--json")) == []


def test_a_threshold_that_is_none_is_refused():
    with pytest.raises(CommandError, match="--threshold"):
        run("--threshold", "-1")
