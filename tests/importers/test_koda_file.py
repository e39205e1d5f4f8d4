"""A koda.db as a file: beside its writer, broken, foreign, replaced, followed."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError

from sessions.models import Message, Session
from tests.commands.test_importsessions import count_messages, run, wait_for
from tests.conftest import ROOT, prepare
from tests.factories import make_user
from tests.importers.imports import Import
from tests.importers.koda_database import (
    Koda,
    hold_turn,
)

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_koda_may_write_while_it_is_read_and_finds_its_file_as_it_was(koda):
    hold_turn(koda, koda.start())
    before = hashlib.sha256(koda.path.read_bytes()).hexdigest()
    koda.update("BEGIN IMMEDIATE")
    koda.say(koda.start("s2"), "user", "not committed")
    Import(koda.path).pull()
    koda.update("COMMIT")
    assert Session.objects.count() == 1
    assert hashlib.sha256(koda.path.read_bytes()).hexdigest() == before


def test_news_are_what_was_committed_or_put_in_its_place(koda, tmp_path):
    key = koda.start()
    koda.say(key, "user", "One")
    following = Import(koda.path)
    assert following.feed.has_news()
    following.pull()
    assert not following.feed.has_news()
    koda.update("BEGIN")
    koda.say(key, "assistant", "Two")
    assert not following.feed.has_news()
    koda.update("COMMIT")
    assert following.feed.has_news()
    following.pull()
    other = Koda(tmp_path / "other.db")
    other.say(other.start(), "user", "Anew")
    other.close()
    koda.close()
    for name in ("koda.db-wal", "koda.db-shm"):
        koda.path.with_name(name).unlink(missing_ok=True)
    other.path.replace(koda.path)
    assert following.feed.has_news()
    following.pull()
    assert Session.objects.active().count() == 2
    assert Message.objects.count() == 3


BROKEN = {
    "empty": (b"", "is empty"),
    "no database": (b"hello" * 100, "no transcript of a known format"),
    "cut short": (None, "cannot be read"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_ends_in_a_sentence(koda, tmp_path, kind):
    make_user("owner")
    hold_turn(koda, koda.start())
    koda.close()
    data, words = BROKEN[kind]
    path = tmp_path / "broken.db"
    path.write_bytes(koda.path.read_bytes()[:5000] if data is None else data)
    with pytest.raises(CommandError, match=words):
        run(path)
    assert not Session.objects.exists()


def test_a_database_of_whose_fault_sqlite_speaks_no_utf8_keeps_no_other_out(koda, claw):
    make_user("owner")
    koda.close()
    koda.path.write_bytes(koda.path.read_bytes().replace(b"CREATE INDEX", b"CREATE IN\xffEX"))
    with pytest.raises(CommandError, match="cannot be read"):
        run(koda.path)
    claw.append("k", "user", "one")
    (koda.path.parent / "sessions.db").symlink_to(claw.path)
    assert "1 new session and 1 new message" in run(koda.path.parent)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (["lamps (id)"], "no table sessions"),
        (["sessions (id)", "lamps (id)"], "no table messages"),
        (["sessions (id)", "messages (id, session_id, text)"], "messages have no content, role"),
        (["sessions (id)", "messages (id, session_id, role, content)"], "know no tools or tokens"),
    ],
)
def test_a_foreign_database_ends_in_a_sentence(tmp_path, tables, words):
    make_user("owner")
    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table}")
    connection.close()
    with pytest.raises(CommandError, match=words):
        run(path)


def test_pages_that_turn_out_broken_fail_the_command(koda):
    make_user("owner")
    key = koda.start()
    for number in range(200):
        koda.say(key, "user", f"{number}" * 200)
    koda.close()
    data = bytearray(koda.path.read_bytes())
    data[8 * 4096 :] = os.urandom(len(data) - 8 * 4096)
    koda.path.write_bytes(data)
    with pytest.raises(CommandError, match="1 of 1 files"):
        run(koda.path)


def test_keys_are_never_opened(koda):
    hold_turn(koda, koda.start())
    make_user("owner")
    (koda.path.parent / "keys.toml").write_text('anthropic = "secret"')
    (koda.path.parent / "settings.toml").write_text('model = "x"')
    opened: list[str] = []
    is_listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if is_listening and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(listen)
    told = json.loads(run(koda.path.parent, json=True))
    is_listening = False
    assert (told["files"], told["sessions"], told["messages"], told["failures"]) == (1, 1, 4, {})
    assert any(path.endswith("settings.toml") for path in opened)
    assert not any(path.endswith("keys.toml") for path in opened)


def test_the_command_names_the_source_after_the_format(koda):
    make_user("owner")
    hold_turn(koda, koda.start())
    assert run(koda.path).startswith("Imported 1 new session and 4 new messages from 1 file")
    assert Session.objects.get().source == "koda"


def test_large_databases_are_read_in_pages(koda, django_assert_max_num_queries):
    key = koda.start()
    koda.update("BEGIN")
    for number in range(1201):
        koda.say(key, "user", f"{number}")
    koda.update("COMMIT")
    with django_assert_max_num_queries(120):
        Import(koda.path).pull()
    assert [m.content for m in Message.objects.order_by("id")] == [str(number) for number in range(1201)]


@pytest.mark.django_db(transaction=True)
def test_follow_tails_a_koda_that_goes_on_working(koda, tmp_path):
    environment = prepare(tmp_path / "data")
    key = koda.start()
    hold_turn(koda, key)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "importsessions", str(koda.path), "--follow", "--json"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: count_messages(environment) == 4)
        hold_turn(koda, key, number=2)
        wait_for(lambda: count_messages(environment) == 8)
        koda.compact(key, preserve=1)
        wait_for(lambda: count_messages(environment) == 10)
        koda.purge()
        wait_for(lambda: count_messages(environment) == 3)
        koda.say(koda.start(), "user", "Another")
        wait_for(lambda: count_messages(environment) == 4)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    told = json.loads(out)
    assert (told["sessions"], told["messages"], told["compactions"], told["removed_messages"]) == (2, 11, 1, 7)
