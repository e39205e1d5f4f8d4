"""manage.py purgecompacted, purgestale, purgedeleted, purgeevents."""

import json
import os
import pty
import signal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.signals import pre_delete

from sessions import compaction, indexing
from sessions.models import Message, Receipt, Session
from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db
AGES = {
    "purgecompacted": ["--older-than", "30"],
    "purgestale": ["--ttl", "720"],
    "purgedeleted": ["--older-than", "30"],
    "purgeevents": ["--older-than", "30"],
}
COMMANDS = sorted(AGES)


def run(name: str, *arguments: str) -> str:
    output = StringIO()
    call_command(name, *AGES[name], *arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.fixture
def session(time_machine):
    """One for each policy: its message archived, its log and itself old, deleted long ago."""
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(title="The \x1b[31mold one", source="ops", project_root="/srv/app")
    make_message(session, content="quagga")
    make_events(session, {"type": "text_delta", "text": "quagga"})
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    session.remove(by="test")
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    return session


SENTENCES = {
    "purgecompacted": "Destroyed 1 message of 1 session, with 1 event, 23 B of text.",
    "purgestale": "Destroyed 1 session, with",
    "purgedeleted": "Destroyed 1 session, with",
    "purgeevents": "Destroyed 1 event of 1 session, 17 B of text.",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_it_says_in_one_sentence_what_it_did(session, name):
    text = run(name, "--yes").replace("\u202f", " ")
    assert text.splitlines()[-1].startswith(SENTENCES[name])
    assert "\x1b" not in text, "agents write titles"
    assert Receipt.objects.get().by == "shell"
    again = run(name, "--yes")
    assert again.splitlines()[-1].startswith("Destroyed nothing: nothing was ")


def test_it_speaks_of_what_was_told_in_words_and_of_nothing_of_its_own(time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(title="Old", is_title_derived=False)
    indexing.finish()
    make_events(session, *({"type": "text_delta", "text": "a", "event_id": name} for name in "abc"))
    make_message(session, content="quagga")
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)

    (_, beside) = run("purgestale", "--yes").splitlines()[-1].split(" with ")

    assert sorted(beside.split(", ")[:-1]) == ["1 message", "1 search entry", "3 events"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_dry_run_destroys_nothing(session, name):
    assert "This would destroy 1 " in run(name, "--dry-run").splitlines()[-1]
    told = json.loads(run(name, "--dry-run", "--json"))
    assert (told["dry_run"], told["session_count"], told["policy"]) == (True, 1, name.removeprefix("purge"))
    assert Message.objects.count() == 3
    assert session.events.filter(type="text_delta").exists()
    assert not Receipt.objects.exists()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("filters", "finds"),
    [
        (["--source", "ops", "--project", "/srv/app"], True),
        (["--source", "laptop"], False),
        (["--project", "/srv"], False),
    ],
)
def test_it_is_narrowed(session, name, filters, finds):
    told = json.loads(run(name, "--yes", "--json", *filters))
    assert bool(told["counts"]) is finds
    assert (told["receipt"] is not None) is finds
    assert told["complete"]


@pytest.mark.parametrize("name", COMMANDS)
def test_without_a_terminal_it_wants_a_yes(session, name, monkeypatch):
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(CommandError, match="--yes"):
            run(name)
    assert Message.objects.count() == 3


@pytest.mark.parametrize(("answer", "left"), [("yes", 0), ("n", 3), ("", 3)])
def test_on_a_terminal_it_asks(session, monkeypatch, capsys, answer, left):
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        if left:
            with pytest.raises(CommandError, match="Destroyed nothing"):
                run("purgestale")
        else:
            run("purgestale")
    os.close(ours)
    assert "Destroy 1 session for good? [y/N]" in capsys.readouterr().out
    assert Message.objects.count() == left


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("purgecompacted", ["--older-than", "-1"], "--older-than: must not be negative"),
        ("purgedeleted", ["--older-than", "999999"], "--older-than: must be at most"),
        ("purgeevents", ["--older-than", "many"], "invalid int"),
        ("purgestale", ["--ttl", "-1"], "--ttl: must not be negative"),
        ("purgestale", ["--ttl", "0"], "it has to be forced with --force"),
        ("purgestale", [], "required"),
        ("purgeevents", ["--older-than", "1", "--include-running"], "unrecognized"),
    ],
)
def test_bad_input_is_refused(session, name, arguments, why):
    with pytest.raises(CommandError, match=why):
        call_command(name, *arguments, "--yes")
    assert Message.objects.count() == 3


def test_no_hours_at_all_take_everything_that_rests_when_forced(session, time_machine):
    working = make_session(now=session.created_at)
    Session.objects.filter(pk=working.pk).update(state="running")
    call_command("purgestale", "--ttl", "0", "--force", "--yes", stdout=StringIO())
    assert list(Session.objects.all()) == [working]
    call_command("purgestale", "--ttl", "1", "--include-running", "--yes", stdout=StringIO())
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_vacuum_gives_the_room_back(session):
    Message.objects.bulk_create(
        Message(session=session, role="user", content="quagga " * 2000, created_at=session.created_at)
        for _ in range(100)
    )
    told = json.loads(run("purgestale", "--yes", "--json", "--vacuum"))
    assert told["vacuumed"]
    assert told["bytes_after"] == Receipt.objects.get().bytes_after
    if connection.vendor == "sqlite":
        assert told["bytes_after"] < told["bytes_before"] - 1_000_000


def test_told_to_stop_it_ends_after_a_whole_batch_and_says_how_to_go_on(session):
    make_session(now=session.created_at)

    def stop(**_facts):
        signal.raise_signal(signal.SIGTERM)

    pre_delete.connect(stop, sender=Session)
    try:
        with pytest.raises(CommandError, match="Run it again to go on"):
            run("purgestale", "--yes")
    finally:
        pre_delete.disconnect(stop, sender=Session)
    assert Session.objects.count() == 1
    assert not Receipt.objects.get().is_complete
    run("purgestale", "--yes")
    assert not Session.objects.exists()
