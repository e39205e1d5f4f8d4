"""manage.py exportsession."""

import json
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from sessions.models import File, Metadata, TokenCounts
from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db


def run(*arguments):
    output = StringIO()
    call_command("exportsession", *map(str, arguments), stdout=output)
    return output.getvalue()


@pytest.fixture
def session():
    """A session with one of everything."""
    session = make_session(title="Ünïcode")
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    call = {"id": "c", "name": "Bash", "arguments": {"command": "ls"}}
    make_message(session, role="assistant", content=None, tool_calls=[call], usage=TokenCounts(prompt_tokens=5))
    make_message(session, role="tool", content="out\n\x1b[31m", tool_call_id="c")
    make_events(session, {"type": "approval_request", "id": "q", "tool_name": "Bash", "turn_id": "t"})
    Metadata.objects.put(session, "todo", "- [ ] one")
    File.objects.own(session, "a.py")
    make_message(make_session(), content="another session's")
    session.refresh_from_db()
    return session


def test_every_line_says_what_it_is_and_nothing_is_missing(session, tmp_path):
    target = tmp_path / "session.jsonl"
    text = run(session.uuid, "--output", target)
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert text == f"Wrote {len(lines)} lines to {target}.\n"
    counted = [line["record"] for line in lines]
    assert counted == [
        "session", "turn", "message", "message", "tool_call", "request", "usage", "metadata", "file",
        *["event"] * session.last_seq,
    ]  # fmt: skip
    assert (lines[0]["title"], lines[0]["id"], lines[0]["version"]) == ("Ünïcode", str(session.uuid), 1)
    asked, answered = lines[2:4]
    assert asked["content"] is None
    assert asked["tool_calls"][0]["arguments"] == {"command": "ls"}
    assert answered["content"] == "out\n\x1b[31m"
    assert lines[4]["result_message_id"] == answered["id"]
    assert [line["seq"] for line in lines[9:]] == list(range(1, session.last_seq + 1))


@pytest.mark.parametrize(
    ("form", "beginning"), [("json", '{"session":{'), ("markdown", "# Ünïcode\n"), ("html", "<!DOCTYPE html>\n")]
)
def test_the_other_formats(session, tmp_path, form, beginning):
    target = tmp_path / "session"
    told = run(session.uuid, "--output", target, "--format", form)
    text = target.read_text(encoding="utf-8")
    assert text.startswith(beginning)
    assert told == f"Wrote {text.count(chr(10)):,} lines to {target}.\n"


def test_an_unknown_format_is_refused(session):
    with pytest.raises(CommandError, match="invalid choice: 'pdf'"):
        run(session.uuid, "--format", "pdf")


def test_without_a_file_it_goes_to_standard_output(session, capsysbinary):
    run(session.uuid)
    first = json.loads(capsysbinary.readouterr().out.splitlines()[0])
    assert first["record"] == "session"


def test_as_json(session, tmp_path):
    target = tmp_path / "session.jsonl"
    told = json.loads(run(session.uuid, "--output", target, "--json"))
    assert told["session"] == str(session.uuid)
    assert told["bytes"] == target.stat().st_size


def test_a_file_that_is_there_is_left_alone(session, tmp_path):
    target = tmp_path / "session.jsonl"
    target.write_text("mine")
    with pytest.raises(CommandError, match="is there already"):
        run(session.uuid, "--output", target)
    assert target.read_text() == "mine"


@pytest.mark.parametrize("arguments", [["x"], [str(uuid.uuid4())]])
def test_what_is_not_there_is_refused(arguments):
    with pytest.raises(CommandError, match="There is no session"):
        run(*arguments)


def test_json_needs_a_file(session):
    with pytest.raises(CommandError, match="--output"):
        run(session.uuid, "--json")
