"""importsessions: files, folders, again, interrupted, followed."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from sessions.importers import Opener
from sessions.importers.feeding import Watched
from sessions.models import Message, Session
from tests.conftest import ROOT, make_environment, manage, prepare
from tests.databases import IS_SQLITE, own_database
from tests.factories import make_user
from tests.importers.lines import SESSION, call, encode, make_answer, make_prompt, make_result, text

HISTORY = encode(make_prompt("Count the lamps"), make_answer("m1", call("c1")), make_result("c1"))
MORE = encode(make_answer("m2", text("Nine."), output=3))


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    path = tmp_path / "project" / f"{SESSION}.jsonl"
    path.parent.mkdir()
    path.write_bytes(HISTORY)
    return path


def run(*arguments: object, **options: object) -> str:
    out = io.StringIO()
    call_command("importsessions", *map(str, arguments), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


@pytest.mark.django_db
def test_says_in_one_sentence_what_it_did(transcript):
    make_user("owner")
    assert run(transcript) == (
        "Imported 1 new session and 3 new messages from 1 file (3 lines); 0 messages were here already.\n"
    )
    assert run(transcript) == (
        "Imported 0 new sessions and 0 new messages from 1 file (3 lines); 3 messages were here already.\n"
    )


@pytest.mark.django_db
def test_a_folder_is_read_to_its_depth_and_strangers_are_left_out(transcript):
    user = make_user("someone")
    (transcript.parent / "notes.txt").write_text("not a transcript")
    (transcript.parent / "other.jsonl").write_text('{"hello": "world"}\n')
    sub = transcript.with_suffix("") / "subagents" / "agent-a1.jsonl"
    sub.parent.mkdir(parents=True)
    sub.write_bytes(encode(make_prompt("Look", isSidechain=True, agentId="a1")))
    told = json.loads(run(transcript.parent.parent, json=True, user="someone", source="laptop"))
    assert (told["files"], told["sessions"], told["messages"], told["failures"]) == (2, 2, 4, {})
    child = Session.objects.get(key=f"{SESSION}/agent-a1")
    assert (child.owner, child.source, child.parent.key) == (user, "laptop", SESSION)


def test_a_folder_that_goes_while_it_is_looked_into_stops_nobody(transcript, monkeypatch):
    folder, scan = transcript.parent.parent, os.scandir
    goes = folder / "goes"

    def scandir(path):
        if path in {goes, str(goes)}:
            shutil.rmtree(goes, ignore_errors=True)
        return scan(path)

    watched = Watched(folder, opener=Opener())
    for _ in range(2):
        (goes / "below").mkdir(parents=True)
        with monkeypatch.context() as going:
            going.setattr(os, "scandir", scandir)
            watched.look()
        assert not goes.exists()
    assert [feed.transcript.path for feed in watched.feeds] == [transcript]


@pytest.mark.django_db
def test_a_dry_run_tells_and_imports_nothing(transcript):
    make_user("owner")
    assert run(transcript, dry_run=True).startswith("Would import 1 new session and 3 new messages")
    assert not Session.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "users", "words"),
    [
        (["nowhere"], ["owner"], "nothing at nowhere"),
        (["."], ["owner"], "no transcript under"),
        (["plain.txt"], ["owner"], "no transcript of a known format"),
        (["plain.txt", "--user", "nobody"], ["owner"], "no user nobody"),
        (["plain.txt"], ["a", "b"], "--user"),
        (["plain.txt", "--follow", "--dry-run"], ["owner"], "do not go together"),
    ],
)
def test_refuses_with_a_sentence(tmp_path, monkeypatch, arguments, users, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").write_text("hello")
    for user in users:
        make_user(user)
    with pytest.raises(CommandError, match=words):
        run(*arguments)


@pytest.mark.django_db
def test_one_file_that_fails_fails_the_command_and_not_the_others(transcript, monkeypatch):
    make_user("owner")
    other = transcript.with_name("other.jsonl")
    other.write_bytes(encode(make_prompt("Sail", sessionId="other", uuid="u" + "1")))
    real_open = Path.open

    def refuse(self, *arguments, **options):
        """The file system takes the file away after it was found."""
        looks.append(self)
        if self == transcript and looks.count(transcript) > 1:
            raise PermissionError("no longer readable")
        return real_open(self, *arguments, **options)

    looks: list[Path] = []
    monkeypatch.setattr(Path, "open", refuse)
    err = io.StringIO()
    with pytest.raises(CommandError, match="1 of 2 files"):
        call_command("importsessions", str(transcript.parent), stdout=io.StringIO(), stderr=err)
    assert err.getvalue() == f"{transcript}: no longer readable\n"
    assert list(Session.objects.filter(is_imported=True).values_list("key", flat=True)) == ["other"]


def in_encoding(encoding: str) -> bytes:
    return "".join(f"{json.dumps(make_prompt(word), ensure_ascii=False)}\n" for word in ("größer", "plain")).encode(
        encoding
    )


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_transcript_in_another_encoding_is_told_and_not_passed_over(transcript, encoding, is_alone):
    make_user("owner")
    transcript.write_bytes(in_encoding(encoding))
    err = io.StringIO()
    with pytest.raises(CommandError, match="1 of 1 files could not be imported whole"):
        call_command(
            "importsessions", str(transcript if is_alone else transcript.parent), stdout=io.StringIO(), stderr=err
        )
    assert err.getvalue().startswith(
        f"{transcript}: It is written in {encoding[:6].upper()}, and a transcript in UTF-8."
    )
    assert not Session.objects.exists()


@pytest.mark.django_db
def test_bytes_that_are_not_utf8_are_told(transcript):
    make_user("owner")
    transcript.write_bytes(in_encoding("latin-1").splitlines(keepends=True)[0])
    assert "from 1 file (1 line, 1 with bytes that are not UTF-8);" in run(transcript)
    assert json.loads(run(transcript, json=True))["garbled_lines"] == {str(transcript): [1]}
    assert Message.objects.get().content == "gr\ufffd\ufffder"
    transcript.write_bytes(in_encoding("utf-8-sig"))
    assert "2 new messages from 1 file (2 lines);" in run(transcript)


@pytest.mark.django_db
def test_a_line_longer_than_a_body_is_told_and_one_as_long_is_read(transcript, settings):
    make_user("owner")
    first, second = encode(make_prompt("x" * 2_000_000)), encode(make_prompt("y" * 2_000_001))
    transcript.write_bytes(first + second + MORE)
    settings.KODA_MAX_BODY = len(first) - 1  # without its newline
    assert "2 new messages from 1 file (3 lines, 1 of them bad (1 longer than KODA_MAX_BODY));" in run(transcript)
    assert json.loads(run(transcript, json=True))["long_lines"] == {str(transcript): [2]}
    assert [len(one.content or "") for one in Message.objects.order_by("pk")] == [2_000_000, len("Nine.")]


# --- in processes of their own ------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return prepare(tmp_path / "data")


def wait_for(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def count_messages(environment: dict[str, str]) -> int:
    import sqlite3

    database = next(Path(environment["KODA_DATA_DIR"]).glob("*.sqlite3"))
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM koda_sessions_message").fetchone()[0])


@pytest.mark.slow
def test_follow_reads_on_as_files_grow_appear_and_are_replaced(environment, transcript):
    process = subprocess.Popen(
        [sys.executable, "manage.py", "importsessions", str(transcript.parent), "--follow", "--json"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: count_messages(environment) == 3)
        with transcript.open("ab") as file:
            file.write(MORE[:20])
            file.flush()
            time.sleep(0.7)  # the rest of a line comes later than a poll
            file.write(MORE[20:])
        wait_for(lambda: count_messages(environment) == 4)
        late = transcript.with_name("late.jsonl")
        late.write_bytes(encode(make_prompt("Sail", sessionId="late")).rstrip(b"\n"))
        wait_for(lambda: count_messages(environment) == 5)
        replacement = transcript.with_suffix(".new")
        replacement.write_bytes(HISTORY + MORE + encode(make_prompt("Thanks")))
        replacement.replace(transcript)
        wait_for(lambda: count_messages(environment) == 6)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    told = json.loads(out)
    assert (told["sessions"], told["messages"], told["files"]) == (2, 6, 2)


def follow(environment: dict[str, str], path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "importsessions", str(path), "--follow", "--json"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


_PRINT_LAST = (
    "from sessions.models import Session; "
    "print([one.messages.order_by('-pk').first().content for one in Session.objects.all()])"
)


@pytest.mark.slow
def test_told_to_stop_it_does_not_read_all_the_rest_first(environment, tmp_path):
    for name in ("first", "second"):
        lines = [make_prompt(f"prompt {number}", sessionId=name) for number in range(20_000)]
        (tmp_path / f"{name}.jsonl").write_bytes(
            encode(*lines, make_answer(f"m-{name}", text("Nine."), sessionId=name))
        )
    process = follow(environment, tmp_path)
    try:
        wait_for(lambda: count_messages(environment) > 0)
    finally:
        code, _, err = stop(process)
    assert (code, err) == (0, "")
    assert count_messages(environment) < 40_002
    manage(environment, "importsessions", str(tmp_path))
    assert count_messages(environment) == 40_002
    last = manage(environment, "shell", "--no-imports", "--command", _PRINT_LAST)
    assert last.strip() == "['Nine.', 'Nine.']"


@pytest.mark.slow
def test_what_cannot_be_imported_while_it_is_followed_fails_the_command(environment, transcript):
    transcript.write_bytes(in_encoding("utf-16"))
    late = transcript.with_name("late.jsonl")
    process = follow(environment, transcript.parent)
    try:
        late.write_bytes(encode(make_prompt("Sail", sessionId="late")))
        wait_for(lambda: count_messages(environment) == 1)
    finally:
        code, out, err = stop(process)
    assert code == 1
    assert list(json.loads(out)["failures"]) == [str(transcript)]
    assert err.count("UTF-16") == 2  # once, and what makes it readable
    assert "1 of 2 files could not be imported whole" in err


@pytest.mark.slow
@pytest.mark.skipif(IS_SQLITE, reason="SQLite has no server that is started again")
def test_a_database_that_was_started_again_gets_what_comes_then(tmp_path, transcript):
    import psycopg

    def count() -> int:
        row = watching.execute("SELECT count(*) FROM koda_sessions_message").fetchone()
        return int(row[0]) if row else 0

    (tmp_path / "data").mkdir(mode=0o700)
    with own_database() as database:
        environment = make_environment(tmp_path / "data", **database)
        manage(environment, "setup", "--no-static")
        with psycopg.connect(database["KODA_DATABASE_URL"], autocommit=True) as watching:
            process = follow(environment, transcript.parent)
            try:
                wait_for(lambda: count() == 3)
                watching.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                with transcript.open("ab") as file:
                    file.write(MORE)
                wait_for(lambda: count() == 4)
            finally:
                code, out, _ = stop(process)
    assert (code, json.loads(out)["failures"]) == (0, {})


@pytest.mark.slow
def test_killed_in_the_middle_the_next_run_finishes(environment, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_bytes(encode(*(make_prompt(f"prompt {number}") for number in range(1_500))))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "importsessions", str(path)], cwd=ROOT, env=environment
    )  # fmt: skip
    try:
        wait_for(lambda: count_messages(environment) > 0)
    finally:
        process.kill()
        process.wait()
    told = json.loads(manage(environment, "importsessions", str(path), "--json"))
    assert told["messages"] + told["known_messages"] == 1_500
    assert count_messages(environment) == 1_500


def test_messages_keep_their_order(transcript, db):
    make_user("owner")
    run(transcript)
    assert list(Message.objects.order_by("id").values_list("role", flat=True)) == ["user", "assistant", "tool"]
